"""`python -m lip2wav_hf.synthetic`: one clip of a synthetic speaker, or a corpus."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .speakers import SPEAKERS


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m lip2wav_hf.synthetic`: exit status 0; on failure 2, and after Ctrl-C 130, with one line on stderr."""
    options = _parser().parse_args(arguments)
    from .corpus import write_clip, write_corpus  # noqa: PLC0415  after --help

    try:
        if options.command == "clip":
            write_clip(options.output, options.name, options.speaker, options.seed, sound=not options.silent)
            print(f"written: {options.output}")
        else:
            splits = write_corpus(
                options.folder, options.speakers, options.sentences, options.seed, options.exclude, progress=True
            )
            sizes = {split: sum(map(len, chosen.values())) for split, chosen in splits.items()}
            shown = ", ".join(f"{split} {size}" for split, size in sizes.items() if size)
            print(f"written: {options.folder}, {shown} clips")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("error: interrupted. The same command begins again.", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lip2wav_hf.synthetic", description="Synthetic talking heads that say GRID sentences."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    clip = commands.add_parser("clip", help="one clip of 3 s")
    clip.add_argument("name", help="the sentence, six letters: bbaf2n is 'bin blue at f two now'")
    clip.add_argument("-o", "--output", required=True, help="the file: .mp4, .mkv or .mpg")
    clip.add_argument("--speaker", default="synthetic1", help=f"one of {', '.join(SPEAKERS)}")
    clip.add_argument("--silent", action="store_true", help="leave out the sound")
    corpus = commands.add_parser("corpus", help="a folder of clips with alignments, laid out as GRID")
    corpus.add_argument("folder")
    corpus.add_argument("--speakers", nargs="+", default=list(SPEAKERS), help="default: all")
    corpus.add_argument("--sentences", type=int, default=20, help="clips per speaker (default: 20)")
    corpus.add_argument("--exclude", nargs="*", default=[], help="sentences to keep out")
    for command in (clip, corpus):
        command.add_argument("--seed", type=int, default=0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
