/*
 * Long mode: a 64-bit product, SSE, RIP-relative data, a far address. Leaves
 * RAX = 0x123456789abcdef0.
 */
#define LONG_MODE
#include "guest.h"
	.code64
	.globl _start
_start:
	mov ecx, 0xc0000080
	rdmsr
	test eax, 0x400
	jz bad
	mov rax, 0x100000001
	mov rbx, 0x300000003
	mul rbx
	cmp rdx, 3
	jne bad
	mov rbx, 0x600000003
	cmp rax, rbx
	jne bad
	mov rbx, cr4
	test ebx, 0x200
	jz 1f
	movq xmm0, rax
	paddq xmm0, xmm0
	movq rcx, xmm0
	shr rcx
	cmp rcx, rax
	jne bad
1:	PRINT "long ok\n"
	mov rax, 0x123456789abcdef0
	hlt
bad:	PRINT "long BAD\n"
	xor eax, eax
	hlt
	PUTS_ROUTINE
