/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keywords from the digital microphone whose devicetree node has the label dmic_dev. Prints keyword,
 * start, end and score (0 to 1) of each event.
 */
#include <zephyr/audio/dmic.h>
#include <zephyr/device.h>
#include <zephyr/devicetree.h>
#include <zephyr/kernel.h>
#include <zephyr/sys/printk.h>

#include "@NAME@.h"

#define PIECE (KWS_SAMPLE_RATE / 50) /* samples of a block: 20 ms */
#define BLOCKS 8                     /* blocks that may wait */
#define TIMEOUT_MS 1000

K_MEM_SLAB_DEFINE_STATIC(blocks, ROUND_UP(PIECE * sizeof(int16_t), 4), BLOCKS, 4);

static kws_state state;
static kws_event events[KWS_EVENTS(PIECE)];

static int start_microphone(const struct device *microphone)
{
    struct pcm_stream_cfg stream = {
        .pcm_rate = KWS_SAMPLE_RATE,
        .pcm_width = 16,
        .block_size = PIECE * sizeof(int16_t),
        .mem_slab = &blocks,
    };
    struct dmic_cfg config = {
        .io =
            {
                .min_pdm_clk_freq = 1000000,
                .max_pdm_clk_freq = 3500000,
                .min_pdm_clk_dc = 40,
                .max_pdm_clk_dc = 60,
            },
        .streams = &stream,
        .channel =
            {
                .req_num_streams = 1,
                .req_num_chan = 1,
                .req_chan_map_lo = dmic_build_channel_map(0, 0, PDM_CHAN_LEFT),
            },
    };
    const int status = dmic_configure(microphone, &config);

    return status < 0 ? status : dmic_trigger(microphone, DMIC_TRIGGER_START);
}

static void print_event(const kws_event *event)
{
    const unsigned long rate = KWS_SAMPLE_RATE;
    const int64_t start = kws_event_start_sample(&kws_detector_timing, event);
    const int64_t end = kws_event_end_sample(&kws_detector_timing, event);
    const long score = 1000L * (event->peak / kws_detector_timing.span) / KWS_UNIT;

    printk("%s %lu.%03lu-%lu.%03lu s, score %ld.%03ld\n", kws_keywords[event->keyword],
           (unsigned long)(start / rate), (unsigned long)(start % rate * 1000 / rate),
           (unsigned long)(end / rate), (unsigned long)(end % rate * 1000 / rate), score / 1000,
           score % 1000);
}

int main(void)
{
    const struct device *const microphone = DEVICE_DT_GET(DT_NODELABEL(dmic_dev));
    int status = device_is_ready(microphone) ? start_microphone(microphone) : -1;

    kws_init(&state);
    printk("listening; the state takes %u bytes\n", (unsigned int)sizeof state);
    while (status >= 0) {
        void *block;
        uint32_t bytes;

        status = dmic_read(microphone, 0, &block, &bytes, TIMEOUT_MS);
        if (status >= 0) {
            const int32_t n =
                kws_push(&state, block, (int32_t)(bytes / sizeof(int16_t)), events);
            k_mem_slab_free(&blocks, block);
            for (int32_t i = 0; i < n; i++) {
                print_event(&events[i]);
            }
        }
    }
    printk("%s: error %d\n", microphone->name, status);
    return 0;
}
