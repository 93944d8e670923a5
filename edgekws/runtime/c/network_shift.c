/* SPDX-License-Identifier: Apache-2.0 */
/* Moves the last bytes of each image of a buffer to its head: the frames that a layer keeps. */
#include <string.h>

#include "network_kernels.h"

void kws_shift(uint8_t *buffer, int32_t images, int32_t image_size, int32_t keep)
{
    for (int32_t image = 0; image < images; image++) {
        uint8_t *head = buffer + image * image_size;
        memmove(head, head + image_size - keep, (size_t)keep);
    }
}
