/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The roundings of network_rounding.h without floating point, bit for bit.
 *
 * A float has 24 significant bits. Each function rounds to them, half to even, where a float does.
 * Numbers are normal, as scales and logits are. Right shifts of negative numbers round down.
 */
#ifndef KWS_NETWORK_INTEGER_H
#define KWS_NETWORK_INTEGER_H

#include "kws_real.h"

/* digits * 2^exponent */
typedef struct {
    int64_t digits;
    int32_t exponent;
} kws_number;

static inline kws_number kws_number_of(kws_real real)
{
    const int32_t field = (int32_t)(real >> 23 & 0xff);
    const int64_t digits = field ? (int64_t)((real & 0x7fffff) | 0x800000) : 0;
    const kws_number number = {real >> 31 ? -digits : digits, field - 150};
    return number;
}

static inline kws_number kws_times(int32_t factor, kws_real real)
{
    kws_number number = kws_number_of(real);
    number.digits *= factor;
    return number;
}

/* Return how many bits a magnitude takes. */
static inline int32_t kws_bits(int64_t digits)
{
    uint64_t left = (uint64_t)(digits < 0 ? -digits : digits);
    int32_t bits = 0;
    for (int32_t step = 32; step > 0; step /= 2) {
        if (left >> step) {
            left >>= step;
            bits += step;
        }
    }
    return bits + (int32_t)left;
}

/* Divide by 2^n, 0 < n < 63, rounding half to even. */
static inline int64_t kws_halved(int64_t digits, int32_t n)
{
    const int64_t raised = digits + ((int64_t)1 << (n - 1)), whole = raised >> n;
    return whole - (raised == whole * ((int64_t)1 << n) && whole % 2);
}

static inline kws_number kws_rounded(kws_number number)
{
    const int32_t excess = kws_bits(number.digits) - 24;
    if (excess > 0) {
        number.digits = kws_halved(number.digits, excess);
        number.exponent += excess;
    }
    return number;
}

/* Add two numbers below 2^61, exact until it is rounded: what is too small to be added sets the
 * last bit. */
static inline kws_number kws_sum(kws_number a, kws_number b)
{
    if (a.digits == 0 || b.digits == 0) {
        return a.digits == 0 ? b : a;
    }
    if (a.exponent < b.exponent) {
        const kws_number other = a;
        a = b;
        b = other;
    }
    const int32_t room = 61 - kws_bits(a.digits), distance = a.exponent - b.exponent;
    const int32_t left = distance < room ? distance : room, right = distance - left;
    a.digits *= (int64_t)1 << left;
    a.exponent -= left;
    if (right > 62) {
        b.digits = b.digits < 0 ? -1 : 1;
    } else if (right > 0) {
        const int64_t whole = b.digits >> right;
        b.digits = whole | (whole * ((int64_t)1 << right) != b.digits);
    }
    a.digits += b.digits;
    return a;
}

/* Divide by a positive number, exact until it is rounded. */
static inline kws_number kws_quotient(kws_number a, kws_number b)
{
    const int32_t room = 61 - kws_bits(a.digits);
    const int64_t digits = a.digits * ((int64_t)1 << room), rest = digits % b.digits;
    const kws_number quotient = {2 * (digits / b.digits) + (rest > 0) - (rest < 0),
                                 a.exponent - room - b.exponent - 1};
    return quotient;
}

static inline uint8_t kws_saturated(int32_t value)
{
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

/* The number rounded half to even, plus `zero`, from 0 to 255. */
static inline uint8_t kws_round_number(kws_number number, int32_t zero)
{
    if (number.exponent < -62) {
        number.digits = 0; /* below 1/2, as a rounded number has 24 bits */
    } else if (number.exponent < 0) {
        number.digits = kws_halved(number.digits, -number.exponent);
    } else if (number.exponent > 8) {
        number.digits *= 256;
    } else {
        number.digits *= (int64_t)1 << number.exponent;
    }
    number.digits += zero;
    return (uint8_t)(number.digits < 0 ? 0 : number.digits > 255 ? 255 : number.digits);
}

/* The product of a sum and a positive scale, as kws_round_number. */
static inline uint8_t kws_round_exactly(int32_t sum, kws_real scale, int32_t zero)
{
    const kws_number whole = {sum, 0}, exact = kws_rounded(whole), factor = kws_number_of(scale);
    const kws_number product = {exact.digits * factor.digits, factor.exponent + exact.exponent};
    return kws_round_number(kws_rounded(product), zero);
}

/*
 * The same in products of 32 bits, with 16 bits behind the point.
 *
 * What is cut off, and to round to 24 bits before, changes the product by less than 2^-13 where it
 * is below 512: the result can be another one only that close to a tie, where it is rounded
 * exactly.
 */
static inline uint8_t kws_round_product(int32_t sum, kws_real scale, int32_t zero)
{
    const int32_t shift = 126 - (int32_t)(scale >> 23); /* the last bit is 2^-(24 + shift) */
    const int32_t upper = sum >> 16;
    const uint32_t lower = (uint32_t)sum & 0xffff;
    const int32_t digits = (int32_t)(scale >> 8 & 0x7fff) | 0x8000, rest = (int32_t)(scale & 0xff);

    if (shift < 3 || shift > 16 || upper >= 256 || upper < -256) {
        return kws_round_exactly(sum, scale, zero);
    }
    const int32_t high = upper * digits;
    if (high >= 8192 << shift || high < -(8192 << shift)) {
        return high < 0 ? 0 : 255;
    }
    const uint32_t low = lower * (uint32_t)digits + (lower * (uint32_t)rest >> 8);
    const int32_t raised = high * (1 << (16 - shift)) + (int32_t)(low >> shift) +
                           (upper * rest * 256 >> shift) + 0x8000;
    const int32_t part = raised & 0xffff;
    if (part < 8 || part > 0xfff8) {
        return kws_round_exactly(sum, scale, zero);
    }
    return kws_saturated((raised >> 16) + zero);
}

/* The same product as the bits of a float. */
static inline kws_real kws_product(int32_t sum, kws_real scale)
{
    const kws_number whole = {sum, 0}, exact = kws_rounded(whole), factor = kws_number_of(scale);
    const kws_number product = {exact.digits * factor.digits, 0}, rounded = kws_rounded(product);
    const int32_t bits = kws_bits(rounded.digits);
    const int32_t field =
        rounded.exponent + exact.exponent + factor.exponent + bits - 24 + 150;
    const uint64_t magnitude =
        (uint64_t)(rounded.digits < 0 ? -rounded.digits : rounded.digits);
    const uint64_t digits = bits > 24 ? magnitude >> 1 : magnitude << (24 - bits);

    if (magnitude == 0 || field <= 0) {
        return 0;
    }
    return (kws_real)(rounded.digits < 0) << 31 | (kws_real)field << 23 |
           (kws_real)(digits & 0x7fffff);
}

#endif
