/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keywords on a command line:
 *
 *     kws FILE.wav ...          keywords in recordings, and when
 *     kws -                     the same in raw 16-bit PCM on standard input, as it comes
 *     kws --clip FILE.wav ...   the label of clips of up to one window
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kws.h"

#define BLOCK 1600

static kws_state state;
static kws_event events[KWS_EVENTS(BLOCK) > KWS_FLUSH_EVENTS ? KWS_EVENTS(BLOCK) : KWS_FLUSH_EVENTS];

static uint32_t little(const uint8_t *bytes, int32_t n)
{
    uint32_t value = 0;
    while (n-- > 0) {
        value = value << 8 | bytes[n];
    }
    return value;
}

/* Read up to the samples of a mono 16-bit WAV file; return their number, or -1. */
static int64_t wav_samples(FILE *file)
{
    uint8_t head[12], form[16];
    int readable = 0;

    if (fread(head, 1, 12, file) < 12 || memcmp(head, "RIFF", 4) || memcmp(head + 8, "WAVE", 4)) {
        return -1;
    }
    while (fread(head, 1, 8, file) == 8) {
        const uint32_t size = little(head + 4, 4);
        uint32_t left = size + size % 2;
        if (!memcmp(head, "data", 4)) {
            return readable ? (int64_t)(size / 2) : -1;
        }
        if (!memcmp(head, "fmt ", 4) && size >= 16) {
            if (fread(form, 1, 16, file) < 16) {
                return -1;
            }
            readable = little(form, 2) == 1 && little(form + 2, 2) == 1 &&
                       little(form + 4, 4) == KWS_SAMPLE_RATE && little(form + 14, 2) == 16;
            left -= 16;
        }
        while (left > 0 && fgetc(file) != EOF) {
            left--;
        }
    }
    return -1;
}

/* Read up to `n` samples; return how many there were. */
static int32_t read_samples(FILE *file, int16_t *pcm, int32_t n)
{
    uint8_t bytes[2];
    int32_t done = 0;

    while (done < n && fread(bytes, 1, 2, file) == 2) {
        const int32_t value = (int32_t)little(bytes, 2);
        pcm[done++] = (int16_t)(value < 32768 ? value : value - 65536);
    }
    return done;
}

#if defined(KWS_INTEGER)

/* Start and end in samples and the score in units of 1 / KWS_UNIT, as a small CPU has them. */
static void print_event(const char *name, const kws_event *event)
{
    const kws_timing *timing = &kws_detector_timing;
    printf("%s\t%s\t%" PRId64 "\t%" PRId64 "\t%" PRId32 "\n", name, kws_keywords[event->keyword],
           kws_event_start_sample(timing, event), kws_event_end_sample(timing, event),
           event->peak / timing->span);
}

static void print_score(const char *name, int32_t label, kws_score score)
{
    printf("%s\t%s\t%" PRId32 "\n", name, kws_labels[label], score);
}

#else

static void print_event(const char *name, const kws_event *event)
{
    const kws_timing *timing = &kws_detector_timing;
    printf("%s\t%s\t%.3f\t%.3f\t%.4f\n", name, kws_keywords[event->keyword],
           kws_event_start_s(timing, event), kws_event_end_s(timing, event),
           kws_event_score(timing, event));
}

static void print_score(const char *name, int32_t label, kws_score score)
{
    printf("%s\t%s\t%.4f\n", name, kws_labels[label], (double)score);
}

#endif

static void print(const char *name, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        print_event(name, &events[i]);
    }
    fflush(stdout);
}

static void detect(const char *name, FILE *file, int64_t left)
{
    int16_t pcm[BLOCK];
    int32_t n;

    kws_reset(&state);
    while (left > 0 && (n = read_samples(file, pcm, left < BLOCK ? (int32_t)left : BLOCK)) > 0) {
        print(name, kws_push(&state, pcm, n, events));
        left -= n;
    }
    print(name, kws_flush(&state, events));
}

/* Classify a clip, centred in silence where it is shorter than the window. */
static int classify(const char *name, FILE *file, int64_t samples)
{
    static int16_t clip[KWS_WINDOW_SAMPLES];
    kws_score scores[KWS_LABELS];
    int32_t label;

    if (samples > KWS_WINDOW_SAMPLES) {
        fprintf(stderr, "%s: longer than the window of %d samples; leave out --clip\n", name,
                KWS_WINDOW_SAMPLES);
        return 5;
    }
    memset(clip, 0, sizeof clip);
    read_samples(file, clip + (KWS_WINDOW_SAMPLES - samples) / 2, (int32_t)samples);
    label = kws_classify(&state, clip, scores);
    print_score(name, label, scores[label]);
    return 0;
}

static int run(const char *name, int clips)
{
    FILE *file = fopen(name, "rb");
    int64_t samples;
    int status = 0;

    if (file == NULL) {
        perror(name);
        return 5;
    }
    samples = wav_samples(file);
    if (samples < 0) {
        fprintf(stderr, "%s: not a WAV file of 16 bits, one channel and %d Hz; convert it\n", name,
                KWS_SAMPLE_RATE);
        status = 5;
    } else if (clips) {
        status = classify(name, file, samples);
    } else {
        detect(name, file, samples);
    }
    fclose(file);
    return status;
}

int main(int argc, char **argv)
{
    const int clips = argc > 1 && !strcmp(argv[1], "--clip");
    int status = 0;

    if (argc < 2 + clips) {
        fprintf(stderr, "usage: %s [--clip] FILE.wav ...\n       %s - < PCM\n", argv[0], argv[0]);
        return 2;
    }
    kws_init(&state);
    for (int i = 1 + clips; i < argc && status == 0; i++) {
        if (!strcmp(argv[i], "-")) {
            detect("-", stdin, INT64_MAX);
        } else {
            status = run(argv[i], clips);
        }
    }
    return status;
}
