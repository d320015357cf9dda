/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fuzz_protocol - the properties that hold for any input to any protocol; the
 * targets fuzz_PROTOCOL_SIDE.c name the protocol.
 *
 * The first byte of an input chooses the settings, the rest is what the peer
 * sends; see fuzz_protocol.c for the bits.
 */
#ifndef PERDITION_PROTOCOL_FUZZ_PROTOCOL_H
#define PERDITION_PROTOCOL_FUZZ_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#include "common/fuzz.h"
#include "perdition/protocol/protocol.h"

void fuzz_client(const struct protocol *, const uint8_t *data, size_t size);
void fuzz_server(const struct protocol *, const uint8_t *data, size_t size);

#endif
