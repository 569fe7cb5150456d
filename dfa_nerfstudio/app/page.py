"""The page: people, and the tabs that learn one, make one talk, and list the jobs."""

from __future__ import annotations

from typing import Any

import gradio as gr

from dfa_nerfstudio.app.events import AT_ONCE
from dfa_nerfstudio.app.job_queue import JobQueue
from dfa_nerfstudio.app.learn_tab import LearnTab
from dfa_nerfstudio.app.library import Library
from dfa_nerfstudio.app.queue_tab import QueueTab
from dfa_nerfstudio.app.talk_tab import TalkTab
from dfa_nerfstudio.app.viewer_process import ViewerProcess

REFRESH_S = 1.0
ETHICS = "Film only people who agree. Say of every result that it is synthetic. Never use it to deceive."
CSS = """
.dfa-status progress { width: 100%; height: 0.8rem; display: block; margin: 0.3rem 0; accent-color: #f97316; }
#preview img { width: 100%; }
#source-video video { max-height: 320px; }
.dfa-failed { border-left: 4px solid #dc2626; padding: 0.4rem 0.8rem; }
"""


def build_page(library: Library, queue: JobQueue, viewer: ViewerProcess) -> gr.Blocks:
    """Builds the page.

    Args:
        library: the people.
        queue: their jobs.
        viewer: starts nerfstudio's viewer for a person.
    """
    with gr.Blocks(title="dfa-nerfstudio", analytics_enabled=False, delete_cache=(3600, 24 * 3600)) as page:
        gr.Markdown(f"# Talking heads\n{ETHICS}")
        remembered = gr.BrowserState(None, storage_key="dfa-person", secret="dfa")
        person = gr.Dropdown(library.names(), value=None, label="Person", elem_id="person")
        shown = gr.State(dict)
        with gr.Tabs():
            with gr.Tab("Learn a person", id="learn"):
                learn = LearnTab(library, queue, person)
            with gr.Tab("Talk", id="talk"):
                talk = TalkTab(library, queue, person)
            with gr.Tab("Jobs", id="jobs"):
                jobs = QueueTab(queue)

        def refresh(name: str | None, shown: dict[str, Any]) -> list[object]:
            names = library.names()
            name = name if name in names else None
            people = gr.skip() if shown.get("names") == names else gr.update(choices=names)
            shown["names"] = names
            values = [people, *learn.refresh(name), *talk.refresh(name, shown), *jobs.refresh(shown)]
            shown["person"] = name
            return [*values, shown]

        def recall(name: str | None) -> object:
            names = library.names()
            return gr.update(choices=names, value=name if name in names else (names[0] if names else None))

        outputs = [person, *learn.outputs, *talk.outputs, *jobs.outputs, shown]
        quiet: dict[str, Any] = AT_ONCE | {"show_progress": "hidden"}
        gr.Timer(REFRESH_S).tick(refresh, [person, shown], outputs, **quiet)
        page.load(recall, remembered, person, **quiet)
        person.change(lambda name: name, person, remembered, **quiet)
        talk.viewer.click(viewer.open, person, talk.viewer_link, **AT_ONCE)
    return page
