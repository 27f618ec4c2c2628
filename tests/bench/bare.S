/*
 * Bare-metal kernels of work, in long mode, no operating system: what one
 * instruction pair or one exit costs. Multiboot 1, so QEMU starts it as well.
 *
 * The command line ends in " L<count>": L chooses the loop, count the rounds:
 *   e  empty loop: to be subtracted
 *   s  SYSCALL from ring 3 to a handler that does SYSRET
 *   p  page fault from ring 0, handler returns behind the access
 *   c  MOV to CR3, then a load
 *   o  OUT to port 0x80
 *   m  a load from the I/O APIC (MMIO)
 *   x  a store into the next instruction, which then runs
 *   r  8 register instructions; 9 with the loop's
 *   l  8 loads and stores over 16 KiB; 12 instructions with the loop's
 *   i  packed integers: 8 operations
 *   f  packed single precision: 8 operations
 *   v  REP MOVSB of 4 KiB; t: REP STOSQ of 4 KiB
 *   k  CALL and RET, 4 deep
 * Ends by isa-debug-exit at 0xf4.
 */
	.intel_syntax noprefix
	.section .text.head, "ax"
	.code32
	.globl _start
	.p2align 2
	.long 0x1badb002, 0, -0x1badb002
_start:
	mov esp, offset stack_top
	mov esi, [ebx + 16]
	xor edi, edi
1:	mov al, [esi] /* edi: behind the last space */
	inc esi
	test al, al
	jz 2f
	cmp al, ' '
	jne 1b
	mov edi, esi
	jmp 1b
2:	movzx ebp, byte ptr [edi]
	xor ecx, ecx
3:	inc edi
	movzx eax, byte ptr [edi]
	sub eax, '0'
	cmp eax, 9
	ja 4f
	imul ecx, ecx, 10
	add ecx, eax
	jmp 3b
4:	/* Page tables: 2 MiB pages, all of 4 GiB, user too. */
	mov edi, offset pml4
	mov dword ptr [edi], offset pdpt + 7
	mov eax, offset pd + 7
	mov edi, offset pdpt
	mov edx, 4
5:	mov [edi], eax
	add eax, 4096
	add edi, 8
	dec edx
	jnz 5b
	mov eax, 0x87
	mov edi, offset pd
	mov edx, 2048
6:	mov [edi], eax
	add eax, 0x200000
	add edi, 8
	dec edx
	jnz 6b
	mov eax, offset pml4
	mov cr3, eax
	mov eax, cr4
	or eax, 0x620
	mov cr4, eax
	push ecx
	mov ecx, 0xc0000080
	rdmsr
	or eax, 0x101
	wrmsr
	pop ecx
	mov eax, cr0
	or eax, 0x80000001
	mov cr0, eax
	lgdt [gdtr]
	jmp 0x08:long_mode

	.code64
long_mode:
	mov eax, 0x10
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov esp, offset stack_top
	mov r15d, ecx
	/* The page-fault gate. */
	mov edi, offset idt + 14 * 16
	mov eax, offset fault
	mov [rdi], ax
	mov word ptr [rdi + 2], 0x08
	mov word ptr [rdi + 4], 0x8e00
	shr eax, 16
	mov [rdi + 6], ax
	mov eax, offset idtr
	lidt [rax]
	test r15, r15
	jz end
	cmp ebp, 'e'
	je loop_e
	cmp ebp, 's'
	je loop_s
	cmp ebp, 'p'
	je loop_p
	cmp ebp, 'c'
	je loop_c
	cmp ebp, 'o'
	je loop_o
	cmp ebp, 'm'
	je loop_m
	cmp ebp, 'x'
	je loop_x
	cmp ebp, 'r'
	je loop_r
	cmp ebp, 'l'
	je loop_l
	cmp ebp, 'i'
	je loop_i
	cmp ebp, 'f'
	je loop_f
	cmp ebp, 'v'
	je loop_v
	cmp ebp, 't'
	je loop_t
	cmp ebp, 'k'
	je loop_k
end:	mov al, 0
	mov dx, 0xf4
	out dx, al
	cli
	hlt

loop_e:	dec r15
	jnz loop_e
	jmp end

loop_o:	out 0x80, al
	dec r15
	jnz loop_o
	jmp end

loop_m:	mov ebx, 0xfec00000
1:	mov eax, [rbx]
	dec r15
	jnz 1b
	jmp end

loop_c:	mov rbx, cr3
1:	mov cr3, rbx
	mov eax, [rsp - 8]
	dec r15
	jnz 1b
	jmp end

loop_x:	mov ebx, offset patch + 1
1:	mov [rbx], r15d
patch:	mov eax, 0
	dec r15
	jnz 1b
	jmp end

loop_r:	add rbx, rax
	xor rcx, rbx
	lea rax, [rcx + rdx * 2 + 3]
	shl rdx, 3
	sub rdx, rcx
	and eax, 0x7fffffff
	or rdx, rax
	dec r15
	jnz loop_r
	jmp end

loop_l:	mov ebx, 0x400000
1:	mov ecx, r15d
	and ecx, 0xff8
	mov rax, [rbx + rcx]
	add rax, [rbx + rcx + 4096]
	mov [rbx + rcx + 8192], rax
	add [rbx + 64], rax
	mov edx, [rbx + rcx * 2]
	mov [rbx + rcx + 12288], edx
	movzx esi, byte ptr [rbx + rcx]
	mov [rbx + 72], rsi
	dec r15
	jnz 1b
	jmp end

loop_i:	mov ebx, 0x400000
1:	movdqu xmm0, [rbx]
	paddd xmm0, xmm1
	pxor xmm1, xmm0
	pmulld xmm2, xmm0
	psubw xmm3, xmm1
	pshufb xmm4, xmm2
	pmaxub xmm3, xmm4
	movdqu [rbx + 16], xmm3
	dec r15
	jnz 1b
	jmp end

loop_f:	mov ebx, 0x400000
1:	movups xmm0, [rbx]
	addps xmm0, xmm1
	mulps xmm1, xmm0
	subps xmm2, xmm1
	maxps xmm3, xmm2
	sqrtps xmm4, xmm3
	divps xmm5, xmm0
	movups [rbx + 16], xmm3
	dec r15
	jnz 1b
	jmp end

loop_v:	mov esi, 0x400000
	mov edi, 0x410000
	mov ecx, 4096
	rep movsb
	dec r15
	jnz loop_v
	jmp end

loop_t:	mov edi, 0x410000
	mov ecx, 512
	rep stosq
	dec r15
	jnz loop_t
	jmp end

loop_k:	call 2f
	dec r15
	jnz loop_k
	jmp end
2:	push rbx
	call 3f
	pop rbx
	ret
3:	push rbp
	call 4f
	pop rbp
	ret
4:	call 5f
	ret
5:	ret

	/* The page at 1 GiB is taken out of the tables. */
loop_p:	mov ebx, offset pdpt + 8
	mov qword ptr [rbx], 0
	mov rax, cr3
	mov cr3, rax
	mov ebx, 0x40000000
1:	mov al, [rbx]
behind:	dec r15
	jnz 1b
	jmp end
fault:	add rsp, 8
	mov eax, offset behind
	mov [rsp], rax
	iretq

loop_s:	mov ecx, 0xc0000081 /* STAR */
	xor eax, eax
	mov edx, 0x00100008 /* SYSRET: CS 0x20, SS 0x18; SYSCALL: CS 8 */
	wrmsr
	inc ecx
	mov eax, offset handler
	xor edx, edx
	wrmsr
	add ecx, 2
	mov eax, 0x200
	wrmsr
	mov ecx, offset user
	mov r11d, 2
	sysretq
user:	syscall
	dec r15
	jnz user
	mov r14d, 1
	syscall
handler:
	test r14d, r14d
	jnz end
	sysretq

	.data
	.p2align 3
gdt:	.quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
	.quad 0x00cff3000000ffff, 0x00affb000000ffff
gdtr:	.word . - gdt - 1
	.long gdt, 0
idtr:	.word 16 * 16 - 1
	.long idt, 0
	.bss
	.p2align 12
pml4:	.skip 4096
pdpt:	.skip 4096
pd:	.skip 4 * 4096
idt:	.skip 4096
	.skip 8192
stack_top:
