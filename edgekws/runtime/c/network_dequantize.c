/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes to float logits. */
#include "network_kernels.h"

void kws_dequantize(const uint8_t *x, float scale, int32_t zero, float *y, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        y[i] = (float)(x[i] - zero) * scale;
    }
}
