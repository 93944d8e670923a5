"""How often words that sound like another word but for one phoneme occur in English speech.

Of the most frequent words of English, and for each number of phonemes: how many words an hour of
speech, 9,000 words, has that differ from such a word in one phoneme, have one more or one less.
This is why sentences of dev and test have few near-sounding words of long keywords.

    pip install wordfreq
    python tools/neighbour_rates.py --output docs/results/neighbour-rates.json

Source of the frequencies: Speer, `wordfreq`, 2022, https://github.com/rspeer/wordfreq.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import wordfreq

from edgekws.core.output import write_text
from edgekws.datasets.synthesis.near_sounding import plain
from edgekws.datasets.synthesis.vocabulary import neighbours
from edgekws.synthesizers.speaking.espeak_ng import Espeak

WORDS_PER_HOUR = 9000

Sound = tuple[str, ...]


def sounds_of(count: int, accent: str) -> dict[Sound, float]:
    """Return the phonemes of the `count` most frequent words, and their share of speech."""
    shares: dict[Sound, float] = defaultdict(float)
    with Espeak() as espeak:
        espeak.use(accent)
        for word in wordfreq.top_n_list("en", count):
            if word.isalpha() and word.isascii():
                sound = tuple(plain(p) for part in espeak.phonemes(word) for p in part)
                shares[sound] += wordfreq.word_frequency(word, "en")
    return dict(shares)


def without_one(sound: Sound) -> Iterator[Sound]:
    """Yield `sound` without each of its phonemes."""
    for at in range(len(sound)):
        yield sound[:at] + sound[at + 1 :]


def with_one_open(sound: Sound) -> Iterator[Sound]:
    """Yield `sound` with a placeholder instead of each of its phonemes."""
    for at in range(len(sound)):
        yield (*sound[:at], "*", *sound[at + 1 :])


def shares_of_neighbours(shares: Mapping[Sound, float]) -> dict[Sound, float]:
    """Return for each sound the share of speech of those that differ in one phoneme."""
    longer: dict[Sound, set[Sound]] = defaultdict(set)
    equal: dict[Sound, set[Sound]] = defaultdict(set)
    for sound in shares:
        for form in without_one(sound):
            longer[form].add(sound)
        for form in with_one_open(sound):
            equal[form].add(sound)
    result = {}
    for sound in shares:
        near = {other for form in with_one_open(sound) for other in equal[form]}
        near |= {form for form in without_one(sound) if form in shares} | longer[sound]
        result[sound] = sum(shares[other] for other in near - {sound})
    return result


def main() -> None:
    """Print a row per number of phonemes, and write all of them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--words", type=int, default=20_000)
    parser.add_argument("--accent", default="gmw/en-US")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    found: dict[int, list[float]] = defaultdict(list)
    for sound, share in shares_of_neighbours(sounds_of(args.words, args.accent)).items():
        found[len(sound)].append(WORDS_PER_HOUR * share)
    rows = [
        {
            "phonemes": phonemes,
            "words": len(rates),
            "mean_per_hour": round(float(np.mean(rates)), 3),
            "median_per_hour": round(float(np.median(rates)), 3),
            "share_without": round(float(np.mean(np.array(rates) == 0)), 3),
            "in_sentences_per_hour": round(WORDS_PER_HOUR * neighbours(phonemes), 3),
        }
        for phonemes, rates in sorted(found.items())
        if len(rates) >= 20
    ]
    for row in rows:
        print(json.dumps(row))
    if args.output:
        what = "words of English that differ in one phoneme from a word of so many, in an hour"
        table = {"command": "python tools/neighbour_rates.py", "what": what, "rows": rows}
        write_text(args.output, json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
