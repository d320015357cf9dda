/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sandbox - the system calls that a worker may make.
 *
 * The list was made by running workers under strace(1) and by what libuv and
 * glibc do on rarer paths.  A call that is not here means that the worker is
 * no longer ours: it is killed, and the master logs the signal.  Where glibc
 * tries a file and can do without, the call fails instead.
 */
#include "config.h"

#include "perdition/role.h"

#include <errno.h>

#include "common/log.h"

#if defined(HAVE_SECCOMP) && !defined(SANITIZE)

#include <fcntl.h>
#include <seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "common/banned.h"

static const int allowed[] = {
	/* sockets */
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(bind), /* outgoing_bind_address */
	SCMP_SYS(connect),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockname),
	SCMP_SYS(getsockopt),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendto),
	SCMP_SYS(setsockopt),
	SCMP_SYS(shutdown),
	/* bytes and descriptors */
	SCMP_SYS(close),
	SCMP_SYS(fcntl),
	SCMP_SYS(fstat),
	SCMP_SYS(ioctl),
	SCMP_SYS(pipe2),
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(splice),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	/* waiting */
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(eventfd2),
	SCMP_SYS(futex),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(restart_syscall),
	/* time, chance, self */
	SCMP_SYS(clock_getres),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(getpid),
	SCMP_SYS(getrandom),
	SCMP_SYS(gettid),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(sysinfo),
	SCMP_SYS(uname),
	/* memory; mmap and mprotect below */
	SCMP_SYS(brk),
	SCMP_SYS(madvise),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),
	SCMP_SYS(rseq),
	SCMP_SYS(set_robust_list),
	/* signals and the end */
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(tgkill),
};

static const int failing[] = {
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),

	SCMP_SYS(open),
	SCMP_SYS(openat),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(stat),
	SCMP_SYS(lstat),
	SCMP_SYS(statx),
	SCMP_SYS(prctl),
};

static int
add_rules(scmp_filter_ctx ctx)
{
	size_t i;
	int error = 0;

	for (i = 0; error == 0 && i < sizeof(allowed) / sizeof(*allowed); i++)
		error = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
	for (i = 0; error == 0 && i < sizeof(failing) / sizeof(*failing); i++)
		error = seccomp_rule_add(
		    ctx, SCMP_ACT_ERRNO(EACCES), failing[i], 0);
	if (error == 0)
		error = seccomp_rule_add(
		    ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_uring_setup), 0);
	return error;
}

static int
add_if_equal(scmp_filter_ctx ctx, uint32_t action, int call, unsigned int arg,
    scmp_datum_t value)
{
	struct scmp_arg_cmp cmp = {
		.arg = arg, .op = SCMP_CMP_EQ, .datum_a = value
	};

	return seccomp_rule_add_array(ctx, action, call, 1, &cmp);
}

/* When the bits of mask in the argument are value. */
static int
add_if_bits(scmp_filter_ctx ctx, uint32_t action, int call, unsigned int arg,
    scmp_datum_t mask, scmp_datum_t value)
{
	struct scmp_arg_cmp cmp = { .arg = arg,
		.op = SCMP_CMP_MASKED_EQ,
		.datum_a = mask,
		.datum_b = value };

	return seccomp_rule_add_array(ctx, action, call, 1, &cmp);
}

/* Only the network, and no memory that can be executed. */
static int
add_narrow_rules(scmp_filter_ctx ctx)
{
	static const int memory[] = { SCMP_SYS(mmap), SCMP_SYS(mprotect) };
	static const int families[] = { AF_INET, AF_INET6 };
	int error = 0;
	size_t i;

	for (i = 0; error == 0 && i < 2; i++)
		error = add_if_equal(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 0,
		    (scmp_datum_t)families[i]);
	for (i = 0; error == 0 && i < 2; i++)
		error = add_if_bits(
		    ctx, SCMP_ACT_ALLOW, memory[i], 2, PROT_EXEC, 0);
	/* fstat(3) is newfstatat(2) without a name. */
	if (error == 0)
		error = add_if_bits(ctx, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat),
		    3, AT_EMPTY_PATH, AT_EMPTY_PATH);
	if (error == 0)
		error = add_if_bits(ctx, SCMP_ACT_ERRNO(EACCES),
		    SCMP_SYS(newfstatat), 3, AT_EMPTY_PATH, 0);
	return error;
}

int
role_sandbox(struct err *err)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int error;

	if (ctx == NULL)
		return err_set(err, ENOMEM, "seccomp: out of memory");
	error = add_rules(ctx);
	if (error == 0)
		error = add_narrow_rules(ctx);
	if (error == 0)
		error = seccomp_load(ctx);
	seccomp_release(ctx);
	/* A kernel or a container without it: what it protects from has not
	 * happened yet, so mail goes on. */
	if (error != 0)
		log_event(LOG_WARNING, "confine", LOG_STR("skipped", "seccomp"),
		    LOG_STR("reason", strerror(-error)));
	return 0;
}

#else

#include "common/banned.h"

int
role_sandbox(struct err *err)
{
	(void)err;
	return 0;
}

#endif
