/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes to logits. */
#include "network_kernels.h"
#include "network_rounding.h"

void kws_dequantize(const uint8_t *x, kws_real scale, int32_t zero, kws_real *y, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        y[i] = kws_product(x[i] - zero, scale);
    }
}
