/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keywords from an I2S microphone (INMP441, ICS-43434, SPH0645) on an ESP32, with the ESP_I2S
 * library of the esp32 boards package, 3.0 or later. Prints keyword, start, end and score (0 to 1)
 * of each event at 115200 baud.
 */
#include <Arduino.h>
#include <ESP_I2S.h>
#include <stdio.h>

#include <@NAME@.h>

#define BCLK_PIN 4
#define WS_PIN 5
#define DATA_PIN 6
#define SHIFT 14 /* from 32 bits to 16: 16 keeps the level, each bit less adds 6 dB */

#define PIECE 320 /* samples that are read at once */

static I2SClass microphone;
static kws_state state;
static kws_event events[KWS_EVENTS(PIECE)];

static int16_t to_sample(int32_t value)
{
    const int32_t shifted = value >> SHIFT;
    return (int16_t)(shifted < -32768 ? -32768 : shifted > 32767 ? 32767 : shifted);
}

static void print_event(const kws_event *event)
{
    const unsigned long rate = KWS_SAMPLE_RATE;
    const int64_t start = kws_event_start_sample(&kws_detector_timing, event);
    const int64_t end = kws_event_end_sample(&kws_detector_timing, event);
    const long score = 1000L * (event->peak / kws_detector_timing.span) / KWS_UNIT;
    char line[80];

    snprintf(line, sizeof line, " %lu.%03lu-%lu.%03lu s, score %ld.%03ld",
             (unsigned long)(start / rate), (unsigned long)(start % rate * 1000 / rate),
             (unsigned long)(end / rate), (unsigned long)(end % rate * 1000 / rate), score / 1000,
             score % 1000);
    Serial.print(kws_keywords[event->keyword]);
    Serial.println(line);
}

void setup()
{
    Serial.begin(115200);
    kws_init(&state);
    microphone.setPins(BCLK_PIN, WS_PIN, -1, DATA_PIN);
    while (!microphone.begin(I2S_MODE_STD, KWS_SAMPLE_RATE, I2S_DATA_BIT_WIDTH_32BIT,
                             I2S_SLOT_MODE_MONO)) {
        Serial.println("the I2S microphone does not start: check the pins");
        delay(1000);
    }
}

void loop()
{
    static int32_t raw[PIECE];
    int16_t piece[PIECE];
    const int32_t n = (int32_t)(microphone.readBytes((char *)raw, sizeof raw) / sizeof raw[0]);

    for (int32_t i = 0; i < n; i++) {
        piece[i] = to_sample(raw[i]);
    }
    const int32_t found = kws_push(&state, piece, n, events);
    for (int32_t i = 0; i < found; i++) {
        print_event(&events[i]);
    }
}
