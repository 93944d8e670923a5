/* SPDX-License-Identifier: Apache-2.0 */
/* Start of a program on an emulated Cortex-M board, and what it needs of the board. See board.h. */
#include "board.h"

#define SYS_OPEN 0x01
#define SYS_WRITE 0x05
#define SYS_READ 0x06
#define SYS_EXIT 0x18
#define EXIT_DONE 0x20026u
#define EXIT_FAULT 0x20023u
#define READ_BINARY 1
#define WRITE_BINARY 5

#define SYSTICK ((volatile uint32_t *)0xe000e010u) /* control, reload, value */
#define COPROCESSORS (*(volatile uint32_t *)0xe000ed88u)

#define MARK 0x5a5aa5a5u
#define MARKED_WORDS 16384 /* 64 KiB of stack */
#define OWN_WORDS 32       /* below the caller: the frame of the function that marks */

int main(void);
void board_reset(void);

/* Of board.ld. */
extern uint32_t board_data_image[], board_data[], board_data_end[];
extern uint32_t board_bss[], board_bss_end[], board_stack[];

static uintptr_t input, output;

static uintptr_t host(uintptr_t operation, const uintptr_t *arguments)
{
    register uintptr_t result __asm__("r0") = operation;
    register const uintptr_t *block __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xab" : "+r"(result) : "r"(block) : "memory");
    return result;
}

static void leave(uintptr_t reason)
{
    register uintptr_t operation __asm__("r0") = SYS_EXIT;
    register uintptr_t argument __asm__("r1") = reason;
    __asm__ volatile("bkpt 0xab" : : "r"(operation), "r"(argument) : "memory");
    for (;;) {
    }
}

static uintptr_t open(const char *name, uintptr_t length, uintptr_t mode)
{
    const uintptr_t arguments[3] = {(uintptr_t)name, mode, length};
    return host(SYS_OPEN, arguments);
}

int board_read(void *bytes, size_t size)
{
    const uintptr_t arguments[3] = {input, (uintptr_t)bytes, size};
    return host(SYS_READ, arguments) == 0;
}

void board_write(const void *bytes, size_t size)
{
    const uintptr_t arguments[3] = {output, (uintptr_t)bytes, size};
    if (host(SYS_WRITE, arguments) != 0) {
        leave(EXIT_FAULT);
    }
}

uint32_t board_ticks(void)
{
    return SYSTICK[2];
}

uint32_t board_ticks_since(uint32_t earlier)
{
    return (earlier - SYSTICK[2]) % BOARD_TURN;
}

static uint32_t *stack_pointer(void)
{
    uint32_t *pointer;
    __asm__ volatile("mov %0, sp" : "=r"(pointer));
    return pointer;
}

void board_mark_stack(void)
{
    volatile uint32_t *end = stack_pointer() - OWN_WORDS;
    for (volatile uint32_t *word = board_stack - MARKED_WORDS; word < end; word++) {
        *word = MARK;
    }
}

uint32_t board_stack_used(void)
{
    const volatile uint32_t *word = board_stack - MARKED_WORDS;
    while (*word == MARK) {
        word++;
    }
    return (uint32_t)((board_stack - (const uint32_t *)word) * (int32_t)sizeof *word);
}

static void fault(void)
{
    leave(EXIT_FAULT);
}

void board_reset(void)
{
#if defined(__ARM_FP)
    COPROCESSORS |= 0xfu << 20; /* the FPU is off after a reset */
    __asm__ volatile("dsb\n\tisb" : : : "memory");
#endif
    for (uint32_t *from = board_data_image, *to = board_data; to < board_data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *word = board_bss; word < board_bss_end; word++) {
        *word = 0;
    }
    SYSTICK[1] = BOARD_TURN - 1;
    SYSTICK[2] = 0;
    SYSTICK[0] = 5; /* on, at the clock of the CPU */
    input = open("input", 5, READ_BINARY);
    output = open("output", 6, WRITE_BINARY);
    leave(main() == 0 ? EXIT_DONE : EXIT_FAULT);
}

typedef union {
    const uint32_t *stack;
    void (*handler)(void);
} vector;

__attribute__((section(".vectors"), used)) static const vector vectors[16] = {
    {.stack = board_stack},   {.handler = board_reset}, {.handler = fault}, {.handler = fault},
    {.handler = fault},       {.handler = fault},       {.handler = fault}, {.handler = fault},
    {.handler = fault},       {.handler = fault},       {.handler = fault}, {.handler = fault},
    {.handler = fault},       {.handler = fault},       {.handler = fault}, {.handler = fault},
};
