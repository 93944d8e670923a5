/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sixteen accumulators side by side, in the instructions of the CPU that is compiled for, or in
 * plain C where KWS_PLAIN or KWS_INTEGER is defined.
 *
 * kws_sums           16 sums, int32
 * KWS_PLACES         places that share a load of weights
 * kws_sums_dot       adds 4 bytes times 4 weights, the bytes the same for every sum
 * kws_sums_dot_rows  the same with byte i of each of four rows for sum i
 * KWS_ROWS           defined where four rows can be kept and moved on by one: kws_rows
 * kws_sums_read      copies the 16 sums
 * kws_sums_store     rounds as kws_rounding and writes the first `n`, or all 16 if n is more
 */
#ifndef KWS_SUMS_H
#define KWS_SUMS_H

#if defined(KWS_PLAIN) || defined(KWS_INTEGER)
#include "network_sums_plain.h"
#elif defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#include "network_sums_vnni.h"
#elif defined(__AVX2__)
#include "network_sums_avx2.h"
#elif defined(__ARM_FEATURE_DOTPROD)
#include "network_sums_armv8.h"
#else
#include "network_sums_plain.h"
#endif

#endif
