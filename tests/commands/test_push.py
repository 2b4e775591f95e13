"""`lip2wav push`, as a user runs it. What is published is tested in tests/hub."""


def test_the_demo_is_a_folder_of_a_checkout(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, error = run("push", "demo", "me/page", "--dry-run")
    assert status == 2
    assert (
        error.startswith("error: demo: there is no such folder.") and "in a checkout of lip2wav_hf: run the" in error
    )
