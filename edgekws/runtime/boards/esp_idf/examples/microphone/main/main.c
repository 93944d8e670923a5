/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keywords from an I2S microphone (INMP441, ICS-43434, SPH0645) on an ESP32. Prints keyword, start,
 * end and score (0 to 1) of each event.
 */
#include <inttypes.h>
#include <stdio.h>

#include "driver/i2s_std.h"
#include "esp_err.h"
#include "freertos/FreeRTOS.h"

#include "@NAME@.h"

#define BCLK_PIN GPIO_NUM_4
#define WS_PIN GPIO_NUM_5
#define DATA_PIN GPIO_NUM_6
#define SHIFT 14 /* from 32 bits to 16: 16 keeps the level, each bit less adds 6 dB */

#define PIECE 320 /* samples that are read at once */

static kws_state state;
static kws_event events[KWS_EVENTS(PIECE)];

static i2s_chan_handle_t open_microphone(void)
{
    const i2s_chan_config_t channel = I2S_CHANNEL_DEFAULT_CONFIG(I2S_NUM_AUTO, I2S_ROLE_MASTER);
    const i2s_std_config_t config = {
        .clk_cfg = I2S_STD_CLK_DEFAULT_CONFIG(KWS_SAMPLE_RATE),
        .slot_cfg =
            I2S_STD_PHILIPS_SLOT_DEFAULT_CONFIG(I2S_DATA_BIT_WIDTH_32BIT, I2S_SLOT_MODE_MONO),
        .gpio_cfg =
            {
                .mclk = I2S_GPIO_UNUSED,
                .bclk = BCLK_PIN,
                .ws = WS_PIN,
                .dout = I2S_GPIO_UNUSED,
                .din = DATA_PIN,
            },
    };
    i2s_chan_handle_t microphone;

    ESP_ERROR_CHECK(i2s_new_channel(&channel, NULL, &microphone));
    ESP_ERROR_CHECK(i2s_channel_init_std_mode(microphone, &config));
    ESP_ERROR_CHECK(i2s_channel_enable(microphone));
    return microphone;
}

static int16_t to_sample(int32_t value)
{
    const int32_t shifted = value >> SHIFT;
    return (int16_t)(shifted < -32768 ? -32768 : shifted > 32767 ? 32767 : shifted);
}

static void print_event(const kws_event *event)
{
    const int64_t start = kws_event_start_sample(&kws_detector_timing, event);
    const int64_t end = kws_event_end_sample(&kws_detector_timing, event);
    const long score = 1000L * (event->peak / kws_detector_timing.span) / KWS_UNIT;

    printf("%s %" PRId64 ".%03d-%" PRId64 ".%03d s, score %ld.%03ld\n",
           kws_keywords[event->keyword], start / KWS_SAMPLE_RATE,
           (int)(start % KWS_SAMPLE_RATE * 1000 / KWS_SAMPLE_RATE), end / KWS_SAMPLE_RATE,
           (int)(end % KWS_SAMPLE_RATE * 1000 / KWS_SAMPLE_RATE), score / 1000, score % 1000);
}

void app_main(void)
{
    static int32_t raw[PIECE];
    static int16_t piece[PIECE];
    const i2s_chan_handle_t microphone = open_microphone();

    kws_init(&state);
    printf("listening; the state takes %u bytes\n", (unsigned)sizeof state);
    for (;;) {
        size_t bytes = 0;

        ESP_ERROR_CHECK(i2s_channel_read(microphone, raw, sizeof raw, &bytes, portMAX_DELAY));
        const int32_t n = (int32_t)(bytes / sizeof raw[0]);
        for (int32_t i = 0; i < n; i++) {
            piece[i] = to_sample(raw[i]);
        }
        const int32_t found = kws_push(&state, piece, n, events);
        for (int32_t i = 0; i < found; i++) {
            print_event(&events[i]);
        }
    }
}
