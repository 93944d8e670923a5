/* Softmax in 64-bit integers: the same counts on every machine, with or without an FPU. */
#include "detector.h"

#include <string.h>

#define FRACTION 48 /* bits of a logit behind the point */
#define LARGEST ((int64_t)1 << 61)
#define FARTHEST ((uint64_t)44 << FRACTION) /* exp(-44) < 2^-63 */
#define ODDS 55 /* bits of the odds behind the point: the sum of 256 is below 2^63 */

/* The upper half of a product. */
static uint64_t high_product(uint64_t a, uint64_t b)
{
    const uint64_t a_low = a & 0xffffffff, a_high = a >> 32;
    const uint64_t b_low = b & 0xffffffff, b_high = b >> 32;
    const uint64_t middle = a_high * b_low + (a_low * b_low >> 32);
    const uint64_t other = a_low * b_high + (middle & 0xffffffff);
    return a_high * b_high + (middle >> 32) + (other >> 32);
}

/* A logit in fixed point; beyond +-2^13, and where it is no number, the largest or smallest. */
static int64_t fixed_point(kws_real logit)
{
    uint32_t bits;
    memcpy(&bits, &logit, sizeof bits);
    const int32_t shift = (int32_t)(bits >> 23 & 0xff) - 150 + FRACTION;
    const int64_t mantissa = (int64_t)((bits & 0x7fffff) | 0x800000);
    int64_t magnitude = 0;
    if (shift > 37)
        magnitude = LARGEST;
    else if (shift >= 0)
        magnitude = mantissa << shift;
    else if (shift > -24)
        magnitude = mantissa >> -shift;
    return bits >> 31 ? -magnitude : magnitude;
}

/* exp(-x) with ODDS bits behind the point; x has FRACTION.
 *
 * exp(-x) = 2^-whole * 2^(-i / 16) * 2^(-j / 256) * exp(-y), with a series for the last. A comment
 * gives the bits behind the point. */
static uint64_t odds(uint64_t x)
{
    static const uint64_t sixteenths[16] = {
        0x8000000000000000, 0x7a92be8a92436616, 0x75606373ee921c97, 0x70666f76154a7089,
        0x6ba27e656b4eb57a, 0x6712460a8fc24072, 0x62b39508aa836d6f, 0x5e8451cfac061b5f,
        0x5a827999fcef3242, 0x56ac1f752150a563, 0x52ff6b54d8a89c75, 0x4f7a993048d088d7,
        0x4c1bf828c6dc54b8, 0x48e1e9b9d588e19b, 0x45cae0f1f545eb73, 0x42d561b3e6243d8a,
    };
    static const uint64_t parts_of_256[16] = {
        0x8000000000000000, 0x7fa765aca88f6453, 0x7f4f08ae3dc7c426, 0x7ef6e8da4b544f9a,
        0x7e9f06067a4360ba, 0x7e47600890f223de, 0x7deff6b672f84e24, 0x7d98c9e62113e1fa,
        0x7d41d96db915019d, 0x7ceb252375c9cf9b, 0x7c94acddaeea5d3a, 0x7c3e7072d904a6ce,
        0x7be86fb985689ddc, 0x7b92aa886214411c, 0x7b3d20b6399fc237, 0x7ae7d219f329b948,
    };
    if (x >= FARTHEST)
        return 0;
    const uint64_t log2_e = 0x5c551d94ae0bf85e, log_2 = 0xb17217f7d1cf79ac; /* 62, 64 */
    const uint64_t one = (uint64_t)1 << 63;                                /* 63 */
    const uint64_t power = high_product(x << 9, log2_e);                    /* 55 */
    const uint64_t rest = (power & (((uint64_t)1 << 47) - 1)) << 9;         /* 64 */
    const uint64_t y = high_product(rest, log_2);                           /* 64 */
    uint64_t series = 0x0111111111111111;                                   /* 63: 1/120 */
    series = 0x0555555555555555 - high_product(y, series);                  /* 1/24 */
    series = 0x1555555555555555 - high_product(y, series);                  /* 1/6 */
    series = 0x4000000000000000 - high_product(y, series);                  /* 1/2 */
    series = one - high_product(y, series);
    series = one - high_product(y, series);
    const uint64_t roots =
        high_product(sixteenths[power >> 51 & 15], parts_of_256[power >> 47 & 15]); /* 62 */
    return high_product(roots, series) >> (61 - ODDS) >> (power >> 55);
}

/* part / whole in units of 1 / KWS_UNIT, rounded to the nearest; part <= whole. There are no ties:
 * up to 256 equal logits give none, and ratios of other exponentials are irrational. */
static int32_t ratio(uint64_t part, uint64_t whole)
{
    uint64_t quotient = part == whole;
    uint64_t rest = part == whole ? 0 : part;
    for (int32_t bit = 1; bit < KWS_UNIT; bit *= 2) {
        rest *= 2;
        quotient *= 2;
        if (rest >= whole) {
            rest -= whole;
            quotient++;
        }
    }
    return (int32_t)(quotient + (2 * rest > whole));
}

void kws_posteriors(const kws_real *logits, int32_t n, int32_t *posteriors)
{
    uint64_t sum = 0;
    int64_t largest = -LARGEST;
    for (int32_t i = 0; i < n; i++) {
        const int64_t logit = fixed_point(logits[i]);
        largest = logit > largest ? logit : largest;
    }
    for (int32_t i = 0; i < n; i++)
        sum += odds((uint64_t)(largest - fixed_point(logits[i])));
    for (int32_t i = 0; i < n; i++)
        posteriors[i] = ratio(odds((uint64_t)(largest - fixed_point(logits[i]))), sum);
}
