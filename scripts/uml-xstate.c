/*
 * A ptrace() for linux.uml 6.1, by LD_PRELOAD.
 *
 * That kernel keeps a process's extended registers in 2,696 bytes, which is all that processors had before AMX
 * (arch/x86/um/user-offsets.c, HOST_FP_SIZE). Where the machine's are larger, reading them is cut short, but to write
 * less than all is refused (EFAULT; arch/x86/kernel/fpu/regset.c, xstateregs_set), and the kernel ends with its first
 * process. So what is written is completed by what the process has.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PEEKTEXT = 1, PEEKUSER = 3, GETREGSET = 0x4204, SETREGSET = 0x4205, NT_X86_XSTATE = 0x202 };

long ptrace(int request, ...)
{
	va_list words;
	va_start(words, request);
	long pid = va_arg(words, int);
	void *address = va_arg(words, void *), *data = va_arg(words, void *);
	va_end(words);

	/* The system call hands the word on by a pointer, the function returns it (ptrace(2), "C library/kernel differences"). */
	if (request >= PEEKTEXT && request <= PEEKUSER) {
		long word;
		if (syscall(SYS_ptrace, request, pid, address, &word) < 0)
			return -1;
		errno = 0;
		return word;
	}
	if (request == SETREGSET && address == (void *)NT_X86_XSTATE) {
		/* Not on the stack: a kernel's is small. It has one processor, so one call at a time. */
		static char all[1 << 16];
		struct iovec *some = data, whole = { all, sizeof(all) };
		if (syscall(SYS_ptrace, GETREGSET, pid, address, &whole) < 0)
			return -1;
		if (some->iov_len < whole.iov_len) {
			memcpy(all, some->iov_base, some->iov_len);
			return syscall(SYS_ptrace, SETREGSET, pid, address, &whole);
		}
	}
	return syscall(SYS_ptrace, request, pid, address, data);
}
