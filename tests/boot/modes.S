/*
 * From real to long mode as a boot sector does it, for a debugger to walk
 * through: at 0x7c00, CS 0. Then counts in a variable, calls, halts.
 */
	.intel_syntax noprefix
	.set PML4, 0x10000
	.set CR0_PE, 1
	.text
	.code16
	.globl _start
_start:
	cli
	xor ax, ax
	mov ds, ax
	lgdt gdtr
	mov eax, cr0
	or al, CR0_PE
	mov cr0, eax
	.globl to32
to32:	jmp 0x08:in32

	.code32
	.globl in32
in32:
	mov ax, 0x10
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov esp, 0x7000
	mov edi, PML4
	xor eax, eax
	mov ecx, 3072
	rep stosd
	mov dword ptr [PML4], PML4 + 0x1003
	mov dword ptr [PML4 + 0x1000], PML4 + 0x2003
	mov dword ptr [PML4 + 0x2000], 0x83
	mov eax, PML4
	mov cr3, eax
	mov eax, 0x20
	mov cr4, eax
	mov ecx, 0xc0000080
	rdmsr
	or eax, 0x100
	wrmsr
	mov eax, cr0
	or eax, 0x80000000
	mov cr0, eax
	.globl to64
to64:	jmp 0x18:in64

	.code64
	.globl in64
in64:
	mov rax, 0x1122334455667788
	mov ecx, 3
1:	call count
	dec ecx
	jnz 1b
	.globl done
done:	hlt
	jmp done

	.globl count
count:
	inc qword ptr [counter]
	.globl counted
counted:
	ret

	.balign 8
gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdtr:	.word . - gdt - 1
	.long gdt
	.balign 8
	.globl counter
counter: .quad 0x40
