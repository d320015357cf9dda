/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzz target: what a client says before its login.
 */
#include "config.h"

#include "perdition/protocol/fuzz_protocol.h"

#include "common/banned.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_client(&protocol_pop3, data, size);
	return 0;
}
