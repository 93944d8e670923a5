/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keywords from a PDM microphone: Nano 33 BLE Sense, Nano RP2040 Connect and others that have the
 * PDM library. Prints keyword, start, end and score (0 to 1) of each event at 115200 baud.
 */
#include <Arduino.h>
#include <PDM.h>
#include <stdio.h>

#include <@NAME@.h>

#define RING 4096 /* samples that may wait for loop(); a power of two */
#define PIECE 320 /* samples that are passed on at once */

static kws_state state;
static kws_event events[KWS_EVENTS(PIECE)];
static int16_t ring[RING];
static volatile uint32_t received, taken, lost; /* samples; the first and last by the interrupt */

/* Store what the microphone has. This runs in an interrupt. */
static void receive()
{
    static int16_t block[512];
    const int available = PDM.available();
    const int bytes = available < (int)sizeof block ? available : (int)sizeof block;
    const uint32_t n = (uint32_t)PDM.read(block, (size_t)bytes) / 2;

    if (received - taken + n > RING) {
        lost = lost + n;
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        ring[(received + i) % RING] = block[i];
    }
    received = received + n;
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

static void stop(const char *reason)
{
    for (;;) {
        Serial.println(reason);
        delay(1000);
    }
}

void setup()
{
    Serial.begin(115200);
    kws_init(&state);
    PDM.onReceive(receive);
    if (!PDM.begin(1, KWS_SAMPLE_RATE)) {
        stop("the PDM microphone does not start at the sample rate of the spotter");
    }
}

void loop()
{
    static uint32_t reported;
    int16_t piece[PIECE];
    uint32_t waiting = received - taken;
    const int32_t n = waiting < PIECE ? (int32_t)waiting : PIECE;

    for (int32_t i = 0; i < n; i++) {
        piece[i] = ring[(taken + (uint32_t)i) % RING];
    }
    taken = taken + (uint32_t)n;
    const int32_t found = kws_push(&state, piece, n, events);
    for (int32_t i = 0; i < found; i++) {
        print_event(&events[i]);
    }
    if (lost != reported) {
        reported = lost;
        Serial.println("samples were lost: this board is too slow, or loop() does too much");
    }
}
