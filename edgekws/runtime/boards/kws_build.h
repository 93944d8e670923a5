/*
 * The build that suits the CPU: float where it computes 32-bit floats in hardware, otherwise integers
 * alone (KWS_INTEGER). Every source of this library includes this first, and so does kws.h: library
 * and program agree.
 *
 * To choose yourself, define KWS_INTEGER or KWS_FLOAT for the library and the program alike, or here.
 */
#ifndef KWS_BUILD_H
#define KWS_BUILD_H

#if defined(__AVR__)
#error "an 8-bit CPU has neither the memory nor the speed; choose a board with a 32-bit CPU"
#endif

#if !defined(KWS_INTEGER) && !defined(KWS_FLOAT)
#if defined(__arm__)
#if !defined(__ARM_FP) || !(__ARM_FP & 4)
#define KWS_INTEGER
#endif
#elif defined(__riscv)
#if !defined(__riscv_flen)
#define KWS_INTEGER
#endif
#elif defined(__XTENSA__)
#include <xtensa/config/core-isa.h>
#if !XCHAL_HAVE_FP
#define KWS_INTEGER
#endif
#endif
#endif

/* Frameworks choose the flags; results are exact only without fused multiply-adds. */
#if !defined(__cplusplus)
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif
#endif

#endif
