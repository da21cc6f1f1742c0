"""Groups of nouns that a verb or adjective goes with, where a semantic class is too wide."""

from __future__ import annotations

from typing import Final

GROUPS: Final = {
    "cooked": "soup rice meat potato egg sausage carrot",
    "repaired": "car bicycle clock phone computer door chair table lamp camera lorry boat umbrella",
    "closable": "door window box suitcase bag bottle cupboard letter",
    "fragile": "cup glass plate vase bottle lamp",
    "watched": "film programme",
    "switched": "lamp computer phone camera",
    "solved": "problem task",
    "corrected": "mistake text letter report task",
    "baked": "bread cake",
    "built": "house ship boat bridge church castle table shelf",
    "upright": "vase bottle cup glass pot candle basket lamp",
    "flat": "book letter newspaper key knife spoon fork pen dress shirt map jacket postcard",
    "surfaces": "table desk shelf cupboard",
    "seats": "chair sofa bed bench armchair",
    "sitters": "man woman child boy girl grandmother grandfather cat student uncle aunt guest",
    "written": "book letter novel poem story report text message postcard",
    "hunters": "wolf fox lion bear cat dog",
    "prey": "mouse rabbit bird duck",
    "swimmers": "dog duck bear",
    "pets": "dog cat horse rabbit",
    "transit": "bus train tram ship",
    "relational": "child teacher student doctor father mother brother sister son daughter friend "
    "neighbour colleague grandmother grandfather uncle aunt cousin lawyer guest customer boss "
    "secretary patient dog cat horse",
    "homes": "house flat village city castle",
    "underage": "child boy girl",
    "made_of_wood": "table chair spoon box toy door bed shelf cupboard bench bridge",
    "breakable": "car bicycle clock phone computer camera lamp "
    "chair door window cup glass plate umbrella toy",
    "intricate": "problem question text task word rule book plan",
    "plain": "problem question text task word rule plan recipe answer",
    "unlit": "forest room cellar street bedroom house",
    "comfortable": "chair sofa bed armchair shoe jacket car flat hotel",
    "dangerous": "bear lion wolf dog elephant street bridge river plan mountain",
    "deep": "lake river pool cellar plate",
    "broad": "street river bridge bed table",
}
