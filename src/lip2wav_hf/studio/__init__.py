"""The studio: a page on which a person records phrases, trains a voice of their own on them, and mouths them silently.

`recordings` is the folder, `learning` the training in the background, `routes` what the page asks for; `serving` and
`uploads` are shared with the demo page.
"""
