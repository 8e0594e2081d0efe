"""Texts whose vectors tell whether an engine computes what the model means."""

from __future__ import annotations

_PASSAGES = (
    "How many people live in Berlin?",
    (
        "Berlin had a population of 3,520,031 registered inhabitants in an area of 891.82 "
        "square kilometers."
    ),
    "The recipe calls for two eggs, a cup of flour and a pinch of salt.",
    "one",
    "Naïve café: Übergröße, 東京, Владивосток and an emoji 🚀.",
    "def mean(values):\n    return sum(values) / len(values)\n",
    (
        "To restore the database, stop every writer, copy the newest snapshot into place and "
        "replay the log up to the moment before the fault. Check the row counts against "
        "yesterday's report before you let the application write again."
    ),
    (
        "Passengers may take one piece of hand luggage of at most eight kilograms. Liquids "
        "belong in a clear bag. Tools, blades and fireworks are refused at the gate, without "
        "exception."
    ),
    (
        "The heart pumps blood through two circuits: the right side sends it to the lungs, "
        "the left side to the rest of the body. Valves keep it from flowing back, and their "
        "closing is the sound a doctor listens for."
    ),
    "WARNING: error 0x8007045D while reading /dev/sdb1, retry 3 of 5, last good block 881,204.",
    "Inflation slowed to 2.4 % in June, after 2.9 % in May; energy became cheaper, rents did not.",
    (
        "Whoever rents a bicycle at the station gets a lock, a lamp and a map. Bring it back "
        "before eight in the evening, or leave it at any other station and pay two euros "
        "more."
    ),
)

CANARIES = (
    *_PASSAGES,
    " ".join(_PASSAGES[6:9]),
    " ".join(_PASSAGES[::-1]),
    " ".join(_PASSAGES * 3),
)
"""Short, long and cut (a few hundred tokens): letters, digits and code that models differ on."""
