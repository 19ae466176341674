"""Texts that people and their enemies write: real names, what must not be in one, and addresses in disguise."""

# With what looks like a trick and is none: joiners of Persian, Sinhala and Malayalam, of families and flags, variation
# selectors of emoji and of ideographs, combining marks, right-to-left letters.
REAL_NAMES = [
    "Ada Lovelace",
    "Nuñez O'Brien-Smith",
    "Nun\u0303ez",
    "می\u200cترا",  # noqa: RUF001 (a name, and no trick)
    "ශ\u0dca\u200dරී",
    "ന\u0d4d\u200d",
    "👩\u200d👩\u200d👧\u200d👦 family",
    "🏴\u200d☠\ufe0f pirate",
    "I ❤\ufe0f SQL",
    "葛\U000e0100城",
    "עדה לאבלייס",
    "عائشة",
    "Åsa",
    "李小龍",
    "@ada",
]

# U+0000, a terminal's escape, line ends, a separator of lines, directions, nothing, a hyphen that is not shown, a mark
# of byte order, hidden text.
UNWANTED = [
    "\x00",
    "\x1b[2J",
    "\x9b31m",
    "\r\n",
    "\u2028",
    "\u202e",
    "\u2066",
    "\u200b",
    "\u00ad",
    "\ufeff",
    "\U000e0041",
]

UNSEEN = [" ", "\u00a0", "\u3164", "\u200d", "\ufe0f", "\u2800\u2800", "\u200c \u034f"]
"""Names of which nothing can be seen."""

ADDRESSES = [
    "carol@private.example",
    "carol\uff20private.example",
    "carol\ufe6bprivate.example",
    "\uff43\uff41\uff52\uff4f\uff4c\uff20\uff50\uff52\uff49\uff56\uff41\uff54\uff45",
    "carol @ private.example",
    "carol @private.example",
    "carol@\u3000private.example",
    "Carol (carol \uff20\u00a0private.example)",
    "carol\u200d@\u200dprivate.example",
]
