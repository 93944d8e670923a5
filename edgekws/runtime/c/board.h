/* SPDX-License-Identifier: Apache-2.0 */
/* An emulated Cortex-M board: files by semihosting, a counter, and the depth of the stack. */
#ifndef KWS_BOARD_H
#define KWS_BOARD_H

#include <stddef.h>
#include <stdint.h>

/* Ticks of the counter's full turn. */
#define BOARD_TURN 0x1000000u

/* Read exactly `size` bytes of the file `input`; return whether there were as many. */
int board_read(void *bytes, size_t size);

/* Append to the file `output`. */
void board_write(const void *bytes, size_t size);

/* Ticks of SysTick, which counts down from BOARD_TURN - 1. */
uint32_t board_ticks(void);

/* Ticks since an earlier value: at most a turn. */
uint32_t board_ticks_since(uint32_t earlier);

/* Mark the free part of the stack; return later how many bytes of it were used, at its deepest. */
void board_mark_stack(void);
uint32_t board_stack_used(void);

#endif
