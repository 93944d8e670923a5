/* The logarithm of the mels, normalised by band. */
#include "exact_floats.h"

#include "front_end.h"
#include "front_end_logarithm.h"

#define L KWS_LANES

static void log_normalise_row(float *restrict row, float scale, float shift)
{
    for (int32_t l = 0; l < L; l++)
        row[l] = kws_logarithm(row[l] + 1e-6f) * scale + shift;
}

void kws_log_normalise(float *mels, const float *scale, const float *shift, int32_t n_mels)
{
    for (int32_t m = 0; m < n_mels; m++)
        log_normalise_row(mels + m * L, scale[m], shift[m]);
}
