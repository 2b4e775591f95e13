"""Pages for the Spaces of the metrics of words: a sentence, and speech or a text, to scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    import gradio


def text_page(
    title: str, description: str, measure: Callable[..., dict[str, Any]], fields: list[Any]
) -> gradio.Interface:
    """
    A page of fields, whose faults are shown as such.

    Args:
        title (`str`): its heading.
        description (`str`): the lines below, Markdown.
        measure (`Callable`): from what the fields hold to the scores.
        fields (`list`): Gradio's components.

    Returns:
        `gradio.Interface`: to be launched.
    """
    import gradio as gr

    def measure_or_tell(*values: Any) -> dict[str, Any]:
        try:
            return measure(*values)
        except ValueError as error:
            raise gr.Error(str(error)) from error

    return gr.Interface(
        measure_or_tell,
        fields,
        gr.JSON(label="Scores"),
        title=title,
        description=description,
        flagging_mode="never",
        api_name="measure",
    )


__all__ = ["text_page"]
