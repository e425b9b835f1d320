"""The text that a user sends with a question."""

from pathlib import Path

from pamir_blender.addon.backend.report import abbreviated, compose


def test_the_home_folder_is_not_told():
    home = Path("/home/erika.mustermann")
    assert abbreviated("at /home/erika.mustermann/x and /opt/y", home) == "at ~/x and /opt/y"
    assert abbreviated("/opt/y", Path("/")) == "/opt/y"


def test_what_is_missing_is_said():
    text = compose({"Worker's Python": "", "Device": "auto"}, [], "", "")
    assert "Worker's Python: none" in text and "not checked yet" in text and "Last error: none" in text
    text = compose({}, ["torch 2.13.0", "! skimage is missing"], "Nobody was found.", "/x/worker.log")
    assert "  ! skimage is missing" in text and "Nobody was found." in text and "Log: /x/worker.log" in text
