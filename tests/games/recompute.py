"""Recomputes a round from its proof, as docs/games.md says, without a line of the product.

``python tests/games/recompute.py proof.json`` prints what came of it; a player is called by their mark.
"""

import hashlib
import hmac
import json
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any


def draw(proof: Any, index: str, results: int, entries: str = "") -> int:
    """A whole number from 0 to `results` - 1; with the hash of the entries, if they are mixed in."""
    scope = "|".join([proof["round"], entries, index] if entries else [proof["round"], index])
    text, again, limit = scope, 0, 2**256 - 2**256 % results
    while True:
        digest = hmac.digest(bytes.fromhex(proof["seed"]), text.encode(), "sha256")
        if (number := int.from_bytes(digest, "big")) < limit:
            return number % results
        again += 1
        text = f"{scope}|{again}"


def entries_hash(proof: Any) -> str:
    lines = "".join(f"{move['who']} {move['said']} {move['stake']}\n" for move in proof["moves"])
    return hashlib.sha256(lines.encode()).hexdigest()


def dice(proof: Any, count: int, index: str) -> list[int]:
    entries = entries_hash(proof)
    return [1 + draw(proof, f"{index} {number}", 6, entries) for number in range(count)]


def random_shares(proof: Any, total: int, seats: int) -> list[int]:
    shares, above = [], total - seats
    for seat in range(1, seats):
        left = seats - seat + 1
        bound, more = divmod(2 * above, left)
        bound += draw(proof, f"share {seat} upper", left) < more
        drawn = draw(proof, f"share {seat}", bound + 1)
        shares.append(1 + drawn)
        above -= drawn
    return [*shares, 1 + above]


def red_packet(proof: Any) -> dict[str, Any]:
    total, seats = proof["settings"]["total"], proof["settings"]["shares"]
    if proof["settings"]["split"] == "equal":
        shares = [total // seats + (seat < total % seats) for seat in range(seats)]
    else:
        shares = random_shares(proof, total, seats)
    return {"shares": shares, "lucky_seat": 1 + draw(proof, "lucky seat", seats)}


def dice_point(proof: Any) -> dict[str, Any]:
    rolls: list[tuple[str, int]] = []
    rolled_at: dict[str, datetime] = {}
    wait = timedelta(seconds=proof["settings"]["interval_s"])
    for move in proof["moves"]:
        who, at = move["who"], datetime.fromisoformat(move["at"])
        if who not in rolled_at or at - rolled_at[who] >= wait:
            rolled_at[who] = at
            rolls.append((who, 1 + draw(proof, f"roll {move['number']}", 6)))
            if rolls[-1][1] == proof["settings"]["point"]:
                return {"rolls": rolls, "winner": who}
    return {"rolls": rolls, "winner": ""}


def three_dice(proof: Any) -> dict[str, Any]:
    thrown = dice(proof, 3, "dice")
    total = sum(thrown)
    right = {str(total), "big" if total >= 11 else "small", "odd" if total % 2 else "even"}
    if len(set(thrown)) == 1 and proof["settings"].get("triples") == "lose":
        right = set()
    return {"dice": thrown, "winners": [move["who"] for move in proof["moves"] if move["said"] in right]}


def dice_compare(proof: Any) -> dict[str, Any]:
    count, players = proof["settings"]["dice"], [move["who"] for move in proof["moves"]]
    if len(players) < proof["settings"]["least_players"]:
        return {"winner": ""}
    sums = {seat: sum(dice(proof, count, f"throw {seat}")) for seat in range(len(players))}
    first, ties = list(sums.values()), 0
    while len(leaders := [seat for seat in sums if sums[seat] == max(sums.values())]) > 1 and ties < 100:
        ties += 1
        sums = {seat: sum(dice(proof, count, f"throw {seat} again {ties}")) for seat in leaders}
    return {"sums": first, "ties": ties, "winner": players[leaders[0]]}


GAMES = {
    "red_packet": red_packet,
    "dice_point": dice_point,
    "dice_size": three_dice,
    "dice_sum": three_dice,
    "dice_compare": dice_compare,
}


def recompute(proof: Any) -> dict[str, Any]:
    """Check that the seed is the one that was promised, and return what came of it."""
    found = hashlib.sha256(bytes.fromhex(proof["seed"])).hexdigest()
    return {"promise_kept": found == proof["commitment"], **GAMES[proof["game"]](proof)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(recompute(json.loads(Path(sys.argv[1]).read_text("utf-8")))) + "\n")
