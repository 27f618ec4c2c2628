/*
 * Macros for the tiny guests: COM1 output and ways to end. GNU as, Intel
 * syntax. Every routine keeps all registers but flags.
 */
	.intel_syntax noprefix

#ifdef LONG_MODE
#define esi_ rsi
#define eax_ rax
#define edx_ rdx
#define ecx_ rcx
#else
#define esi_ esi
#define eax_ eax
#define edx_ edx
#define ecx_ ecx
#endif

	/* Calls are relative, so this works in 16-, 32- and 64-bit code. */
	.macro PUTS_ROUTINE
/* Writes the string at (E)SI. */
puts:	push esi_
	push eax_
	push edx_
1:	mov al, [esi_]
	inc esi_
	test al, al
	jz 2f
	call putc
	jmp 1b
2:	pop edx_
	pop eax_
	pop esi_
	ret
/* Writes AL, once the UART has room. */
putc:	push edx_
	push eax_
	mov dx, 0x3fd
1:	in al, dx
	test al, 0x20
	jz 1b
	pop eax_
	mov dx, 0x3f8
	out dx, al
	pop edx_
	ret
/* Writes EAX as eight hexadecimal digits. */
puthex:	push ecx_
	push eax_
	mov ecx, 8
1:	rol eax, 4
	push eax_
	and al, 15
	add al, '0'
	cmp al, '9'
	jbe 2f
	add al, 'a' - '0' - 10
2:	call putc
	pop eax_
	dec ecx
	jnz 1b
	pop eax_
	pop ecx_
	ret
	.endm

	/* Prints a string given in place. */
	.macro PRINT text:vararg
	.pushsection .rodata
88:	.asciz \text
	.popsection
	push esi_
#ifdef LONG_MODE
	lea rsi, [rip + 88b]
#else
	mov esi, offset 88b
#endif
	call puts
	pop esi_
	.endm

	/* Power off through ACPI: SLP_EN with the type of S5. */
	.macro POWEROFF
	mov dx, 0x604
	mov ax, 0x2000
	out dx, ax
99:	cli
	hlt
	jmp 99b
	.endm
