"""Plays by round, AssistPG above Learner-PG, as the paper's videos show them; Learner-PG by both counts of a round.

    python animations.py runs/cartpole --out docs/results-rl

writes, for each of four values of the game's constant, GAME-VALUE.gif (the policies after rounds 1 to 5), and for each
test GAME-test-1.gif and GAME-test-2.gif (ten plays of the policies after round 5).
"""

import argparse
import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from policies import SHOWN, lander, play, pole, policy, rounds_of, run_of

from alx.study.games import CARTPOLE, LUNAR_LANDER

VALUES = {"cartpole": (1, 2, 3, 4), "lunarlander": (10, 20, 30, 40)}
GAMES = {"cartpole": CARTPOLE, "lunarlander": LUNAR_LANDER}
CAP = {"cartpole": 500, "lunarlander": 1000}
EVERY = {"cartpole": 5, "lunarlander": 12}  # steps between pictures
TRACK = 2.4  # gymnasium ends an episode whose cart is further out
MILLISECONDS = 80  # a picture
TEXT = ImageFont.load_default(11)


def pole_picture(observation: np.ndarray, length: float) -> Image.Image:
    """The cart and the whole pole, which gymnasium's own picture cuts off."""
    width, height = 110, 120
    picture = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(picture)
    scale = min(width / 5.4, (height - 24) / (2 * length + 0.3))
    x, base = width / 2 + observation[0] * width / 5.4, height - 14
    tip = (x + 2 * length * scale * math.sin(observation[2]), base - 2 * length * scale * math.cos(observation[2]))
    pen.line([(0, base + 5), (width, base + 5)], fill="#999999")
    pen.rectangle([x - 9, base - 5, x + 9, base + 5], fill="#222222")
    pen.line([(x, base), tip], fill="#D55E00", width=4)
    return picture


def lander_picture(env) -> Image.Image:
    """gymnasium's own picture, smaller; drawn only when asked for, as drawing costs more than flying."""
    env.render_mode = "rgb_array"
    picture = Image.fromarray(env.render()).resize((150, 100))
    env.render_mode = None
    return picture


def pictures(game: str, net, value: float) -> tuple[list[Image.Image], str]:
    """One play, every so many steps, and how it ended."""
    env = pole(value) if game == "cartpole" else lander(value)
    frames: list[Image.Image] = []
    for step, moment in enumerate(play(env, net, CAP[game])):
        if step % EVERY[game] == 0 or moment.ended:
            frames.append(pole_picture(moment.observation, value) if game == "cartpole" else lander_picture(env))
    if game == "cartpole":
        how = "up for" if not moment.ended else "off at" if abs(moment.observation[0]) > TRACK else "fell at"
        return frames, f"{how} {step}"
    if not moment.ended:
        return frames, "on its legs" if moment.observation[6] and moment.observation[7] else "still up"
    return frames, "landed" if moment.reward > 0 else "crashed or left"


def write(path: Path, title: str, columns: list[str], rows: dict[str, list[tuple[list[Image.Image], str]]]) -> None:
    """A grid of plays; one that ended stands still, with how it ended under it."""
    width, height = next(iter(rows.values()))[0][0][0].size
    left, top, foot = 92, 34, 15
    length = max(len(frames) for plays in rows.values() for frames, _ in plays)
    out = []
    for at in range(length + 12):  # a second of the end
        sheet = Image.new("RGB", (left + len(columns) * (width + 4), top + len(rows) * (height + foot + 4)), "white")
        pen = ImageDraw.Draw(sheet)
        pen.text((4, 2), title, fill="black", font=TEXT)
        for i, name in enumerate(columns):
            pen.text((left + i * (width + 4) + 4, 17), name, fill="black", font=TEXT)
        for j, (name, plays) in enumerate(rows.items()):
            y = top + j * (height + foot + 4)
            pen.text((4, y + height / 2 - 20), name, fill="black", font=TEXT)
            for i, (frames, end) in enumerate(plays):
                x = left + i * (width + 4)
                sheet.paste(frames[min(at, len(frames) - 1)], (x, y))
                pen.rectangle([x, y, x + width - 1, y + height - 1], outline="#cccccc")
                if at >= len(frames) - 1:
                    pen.text((x + 4, y + height + 1), end, fill="black", font=TEXT)
        out.append(sheet.quantize(16, dither=Image.Dither.NONE))
    out[0].save(path, save_all=True, append_images=out[1:], duration=MILLISECONDS, loop=0, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    game = run_of(given.runs)["game"]
    constant, rounds = GAMES[game].constant, rounds_of(given.runs)
    for value in VALUES[game]:
        rows = {a: [pictures(game, policy(given.runs, given.seed, a, number), value) for number in rounds] for a in SHOWN}
        columns = [f"round {number}" for number in rounds]
        write(given.out / f"{game}-{value}.gif", f"{constant} {value}, policies of seed {given.seed}", columns, rows)
    for i, name in enumerate(GAMES[game].tests, 1):
        values = GAMES[game].test(name, given.seed, 10)
        rows = {a: [pictures(game, policy(given.runs, given.seed, a, rounds[-1]), v) for v in values] for a in SHOWN}
        title = f"ten plays of {name}, policies of seed {given.seed} after round {rounds[-1]}"
        write(given.out / f"{game}-test-{i}.gif", title, [f"{v:.2f}" for v in values], rows)


if __name__ == "__main__":
    main()
