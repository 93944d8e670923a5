/* Floating point with the same bits on every compiler: include this first in a file of floats.
 *
 * A multiplication and an addition stay two roundings. Only clang's -ffp-contract=fast, which is
 * not its default, cannot be overruled from here: leave it out.
 */
#ifndef KWS_EXACT_FLOATS_H
#define KWS_EXACT_FLOATS_H

#if defined(__FAST_MATH__)
#error "compile without -ffast-math: it changes the order of sums"
#endif
#if defined(__FLT_EVAL_METHOD__) && __FLT_EVAL_METHOD__ != 0
#error "compile with -msse2 -mfpmath=sse: the x87 unit rounds to more than 32 bits"
#endif

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#if defined(__AVX512F__)
#pragma GCC target("prefer-vector-width=256") /* its loops over 512 bits are slower */
#endif
#endif

#endif
