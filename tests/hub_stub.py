"""A Hub of models, datasets and Spaces in memory, for the real `huggingface_hub` client to talk to over loopback.

It answers the part of the HTTP API that publishing and loading need: who am I, create and delete repositories, LFS
upload, commits, branches and tags, file lists, downloads with ranges, checks of a card's metadata. It can drop the
connection in the middle of a file, once, and it remembers what was asked of it.

    with HubStub() as hub:
        subprocess.run([...], env={**os.environ, **hub.environment(tmp_path)})
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
import yaml
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


TOKENS = {"hf_aliceToken": "alice", "hf_bobToken": "bob"}
LFS_SUFFIXES = (".safetensors", ".bin", ".tflite", ".mp4", ".wav", ".flac", ".mkv", ".png", ".zip")
KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
CHUNK = 65536  # bytes that a download sends at a time


@dataclass
class Commit:
    """One state of a repository: `files` maps a path to the file's bytes."""

    oid: str
    title: str
    parent: str | None
    files: dict[str, bytes]


@dataclass
class Repository:
    """A repository with its history."""

    kind: str
    name: str
    private: bool
    sdk: str | None = None
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def commit(self, branch: str, title: str, files: dict[str, bytes]) -> Commit:
        """A new commit on a branch, which is made if it is missing."""
        parent = self.branches.get(branch)
        digest = hashlib.sha1(f"{self.name} {branch} {parent} {title} {len(self.commits)}".encode())
        commit = Commit(digest.hexdigest(), title, parent, files)
        self.commits[commit.oid], self.branches[branch] = commit, commit.oid
        return commit

    def at(self, revision: str) -> Commit:
        """The commit that a branch, a tag or a commit id names."""
        oid = self.branches.get(revision) or self.tags.get(revision) or revision
        if oid not in self.commits:
            raise HTTPException(
                404, f"Invalid rev id: {revision}", {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "no such"}
            )
        return self.commits[oid]

    def history(self, branch: str = "main") -> list[Commit]:
        """The commits of a branch, newest first."""
        commits, oid = [], self.branches.get(branch)
        while oid:
            commits.append(self.commits[oid])
            oid = commits[-1].parent
        return commits


def is_lfs(path: str, size: int) -> bool:
    return size > 0 and path.endswith(LFS_SUFFIXES)


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def file_facts(path: str, content: bytes) -> dict:
    facts = {"type": "file", "path": path, "size": len(content), "oid": git_oid(content)}
    if is_lfs(path, len(content)):
        sha256 = hashlib.sha256(content).hexdigest()
        facts["lfs"] = {"oid": sha256, "size": len(content), "pointerSize": 130}
    return facts


def card_errors(content: str, kind: str) -> list[str]:
    """What is wrong with a card's metadata, by the rules of the Hub's documentation that concern us."""
    match = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
    try:
        data = yaml.safe_load(match.group(1)) if match else {}
    except yaml.YAMLError as error:
        return [f"bad YAML: {error}"]
    errors = []
    if not isinstance(data.get("license", ""), (str, list)):
        errors.append('"license" must be a string')
    if kind == "space":
        for name in ("colorFrom", "colorTo"):
            if data.get(name) not in COLOURS:
                errors.append(f'"{name}" must be one of {COLOURS}')
        if data.get("sdk") not in ("gradio", "docker", "static"):
            errors.append('"sdk" must be one of gradio, docker, static')
        if len(data.get("short_description", "")) > 60:
            errors.append('"short_description" length must be at most 60 characters long')
        if not isinstance(data.get("sdk_version", "1"), str):
            errors.append('"sdk_version" must be a string')
    for model in data.get("model-index", []):
        for result in model.get("results", []):
            complete = {"type"} <= set(result.get("task", {})) and {"type", "name"} <= set(result.get("dataset", {}))
            if not complete or not all({"type", "value"} <= set(metric) for metric in result.get("metrics", [])):
                errors.append('"model-index" is incomplete')
    return errors


class HubStub:
    """
    The server, as a context manager.

    Attributes:
        url (`str`): where it listens.
        repositories (`dict[tuple[str, str], Repository]`): by kind (`"model"`, …) and name.
        requests (`list[tuple[str, str, str | None]]`): method, path and `Range` header of all requests so far.
    """

    def __init__(self):
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.lfs: dict[str, bytes] = {}
        self.requests: list[tuple[str, str, str | None]] = []
        self._drops: dict[str, int] = {}
        api = "/api/{kind}/{owner}/{name}"
        routes = [
            Route("/api/whoami-v2", self.who_am_i),
            Route("/api/repos/create", self.create, methods=["POST"]),
            Route("/api/repos/delete", self.delete, methods=["DELETE"]),
            Route("/api/validate-yaml", self.validate_card, methods=["POST"]),
            Route(f"{api}/preupload/{{revision:path}}", self.preupload, methods=["POST"]),
            Route(f"{api}/commit/{{revision:path}}", self.make_commit, methods=["POST"]),
            Route(f"{api}/branch/{{branch:path}}", self.make_branch, methods=["POST", "DELETE"]),
            Route(f"{api}/tag/{{revision:path}}", self.make_tag, methods=["POST"]),
            Route(f"{api}/paths-info/{{revision:path}}", self.paths_info, methods=["POST"]),
            Route(f"{api}/tree/{{revision}}", self.tree),
            Route(f"{api}/tree/{{revision}}/{{path:path}}", self.tree),
            Route(f"{api}/commits/{{revision}}", self.commits),
            Route(f"{api}/refs", self.refs),
            Route(f"{api}/variables", self.set_variable, methods=["POST"]),
            Route(f"{api}/revision/{{revision:path}}", self.facts),
            Route(api, self.facts),
            Route("/lfs/{oid}", self.receive, methods=["PUT"]),
            Route("/lfs/{oid}/verify", self.verify, methods=["POST"]),
        ]
        for prefix in ("", "/datasets", "/spaces"):
            base = prefix + "/{owner}/{name}"
            routes.append(Route(f"{base}.git/info/lfs/objects/batch", self.batch, methods=["POST"]))
            routes.append(Route(f"{base}/resolve/{{revision}}/{{path:path}}", self.resolve, methods=["GET", "HEAD"]))
        self.app = Starlette(routes=routes, exception_handlers={HTTPException: self._report})

    # -- running it ---------------------------------------------------------------------------------------------------

    def __enter__(self) -> HubStub:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(uvicorn.Config(self.app, log_level=100, lifespan="off", ws="none"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started:
            if time.monotonic() > deadline:
                raise TimeoutError("the stub of the Hub did not start within 20 s")
            time.sleep(0.01)
        return self

    def __exit__(self, *exception):
        self._server.should_exit = True
        self._thread.join(20)
        self._socket.close()

    def environment(self, home: str | os.PathLike, token: str | None = "hf_aliceToken") -> dict[str, str]:
        """Environment variables that make `huggingface_hub` talk to this server alone, with a cache of its own."""
        variables = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": os.fspath(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1",
        }
        return variables | ({"HF_TOKEN": token} if token else {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1", "HF_TOKEN": ""})

    def drop_once(self, path: str, after: int) -> None:
        """The next download of this path breaks off after so many bytes."""
        self._drops[path] = after

    def add(self, name: str, folder: str | os.PathLike, kind: str = "model", private: bool = False) -> Repository:
        """A repository that holds the files of a folder, without any upload."""
        repository = self.repositories.setdefault((kind, name), Repository(kind, name, private))
        root = Path(folder)
        files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        repository.commit("main", "Add files", files)
        return repository

    # -- rights -------------------------------------------------------------------------------------------------------

    def _user(self, request: Request) -> str | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token and token not in TOKENS:
            raise HTTPException(401, "Invalid credentials in Authorization header")
        return TOKENS.get(token)

    def _repository(self, request: Request, write: bool = False) -> Repository:
        self.requests.append((request.method, request.url.path, request.headers.get("range")))
        parameters = request.path_params
        kind = KINDS.get(parameters.get("kind") or request.url.path.split("/")[1], "model")
        name, user = f"{parameters['owner']}/{parameters['name']}", self._user(request)
        repository = self.repositories.get((kind, name))
        if repository is None or (repository.private and user != parameters["owner"]):
            status = 401 if user is None else 404
            raise HTTPException(status, "Repository not found", {"X-Error-Code": "RepoNotFound"})
        if write and user != parameters["owner"]:
            raise HTTPException(403 if user else 401, "You have no right to write to this repository.")
        return repository

    @staticmethod
    def _report(request: Request, error: HTTPException) -> Response:
        headers = {"X-Error-Message": error.detail, **(error.headers or {})}
        return JSONResponse({"error": error.detail}, error.status_code, headers)

    # -- accounts and repositories ------------------------------------------------------------------------------------

    async def who_am_i(self, request: Request) -> Response:
        user = self._user(request)
        if user is None:
            raise HTTPException(401, "Invalid username or password.")
        token = {"displayName": "test", "role": "write"}
        return JSONResponse(
            {
                "type": "user",
                "id": user,
                "name": user,
                "fullname": user.title(),
                "orgs": [],
                "auth": {"accessToken": token},
            }
        )

    async def create(self, request: Request) -> Response:
        self.requests.append((request.method, request.url.path, None))
        wanted, user = await request.json(), self._user(request)
        if user is None:
            raise HTTPException(401, "Invalid username or password.")
        owner = wanted.get("organization") or user
        if owner != user:
            raise HTTPException(403, f'You don\'t have the rights to create a model under the namespace "{owner}"')
        kind, name = wanted.get("type") or "model", f"{owner}/{wanted['name']}"
        prefix = "" if kind == "model" else f"{kind}s/"
        answer = {"url": f"{self.url}/{prefix}{name}", "name": name}
        if (kind, name) in self.repositories:
            return JSONResponse(answer | {"error": "You already created this repo"}, 409)
        private = wanted.get("visibility") == "private" or bool(wanted.get("private"))
        repository = Repository(kind, name, private, wanted.get("sdk"))
        repository.commit("main", "initial commit", {".gitattributes": b"*.safetensors filter=lfs\n"})
        self.repositories[kind, name] = repository
        return JSONResponse(answer)

    async def delete(self, request: Request) -> Response:
        wanted, user = await request.json(), self._user(request)
        owner = wanted.get("organization") or user
        key = (wanted.get("type") or "model", f"{owner}/{wanted['name']}")
        if user is None or owner != user or key not in self.repositories:
            raise HTTPException(404, "Repository not found", {"X-Error-Code": "RepoNotFound"})
        del self.repositories[key]
        return Response()

    async def facts(self, request: Request) -> Response:
        repository = self._repository(request)
        commit = repository.at(request.path_params.get("revision", "main"))
        return JSONResponse(
            {
                "id": repository.name,
                "modelId": repository.name,
                "author": repository.name.split("/")[0],
                "sha": commit.oid,
                "private": repository.private,
                "sdk": repository.sdk,
                "tags": [],
                "siblings": [{"rfilename": path} for path in sorted(commit.files)],
            }
        )

    async def refs(self, request: Request) -> Response:
        repository = self._repository(request)

        def listed(kind, targets):
            return [{"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": oid} for name, oid in targets.items()]

        return JSONResponse(
            {
                "branches": listed("heads", repository.branches),
                "tags": listed("tags", repository.tags),
                "converts": [],
                "pullRequests": [],
            }
        )

    async def make_branch(self, request: Request) -> Response:
        repository, branch = self._repository(request, write=True), request.path_params["branch"]
        if request.method == "DELETE":
            repository.branches.pop(branch)
            return Response()
        if branch in repository.branches:
            raise HTTPException(409, "Reference already exists")
        body = await request.body()
        start = json.loads(body).get("startingPoint", "main") if body else "main"
        repository.branches[branch] = repository.at(start).oid
        return Response()

    async def make_tag(self, request: Request) -> Response:
        repository = self._repository(request, write=True)
        tag = (await request.json())["tag"]
        if tag in repository.tags:
            raise HTTPException(409, "Tag reference already exists")
        repository.tags[tag] = repository.at(request.path_params["revision"]).oid
        return Response()

    async def set_variable(self, request: Request) -> Response:
        variables = self._repository(request, write=True).variables
        wanted = await request.json()
        variables[wanted["key"]] = wanted["value"]
        return JSONResponse({key: {"key": key, "value": value} for key, value in variables.items()})

    async def commits(self, request: Request) -> Response:
        history = self._repository(request).history(request.path_params["revision"])
        return JSONResponse(
            [
                {
                    "id": commit.oid,
                    "title": commit.title,
                    "message": "",
                    "date": "2026-01-01T00:00:00.000Z",
                    "authors": [],
                }
                for commit in history
            ]
        )

    async def tree(self, request: Request) -> Response:
        files = self._repository(request).at(request.path_params["revision"]).files
        under = request.path_params.get("path", "")
        prefix = f"{under}/" if under else ""
        recursive = request.query_params.get("recursive", "").lower() in ("true", "1")
        listed, folders = [], set()
        for path, content in sorted(files.items()):
            if not path.startswith(prefix):
                continue
            parts = path[len(prefix) :].split("/")
            for depth in range(1, len(parts) if recursive else min(2, len(parts))):
                folders.add(prefix + "/".join(parts[:depth]))
            if recursive or len(parts) == 1:
                listed.append(file_facts(path, content))
        listed += [
            {"type": "directory", "path": folder, "oid": git_oid(folder.encode())} for folder in sorted(folders)
        ]
        return JSONResponse(listed)

    async def paths_info(self, request: Request) -> Response:
        files = self._repository(request).at(request.path_params["revision"]).files
        form = await request.form()
        return JSONResponse([file_facts(path, files[path]) for path in form.getlist("paths") if path in files])

    # -- uploads ------------------------------------------------------------------------------------------------------

    async def validate_card(self, request: Request) -> Response:
        wanted = await request.json()
        errors = card_errors(wanted["content"], wanted.get("repoType") or "model")
        answer = {"errors": [{"message": error} for error in errors], "warnings": []}
        return JSONResponse(answer, 400 if errors else 200)

    async def preupload(self, request: Request) -> Response:
        repository = self._repository(request, write=True)
        branch = repository.branches.get(request.path_params["revision"])
        now = repository.commits[branch].files if branch else {}
        answers = []
        for wanted in (await request.json())["files"]:
            path = wanted["path"]
            lfs, old = is_lfs(path, wanted["size"]), now.get(path)
            oid = None if old is None else hashlib.sha256(old).hexdigest() if lfs else git_oid(old)
            answers.append(
                {"path": path, "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False, "oid": oid}
            )
        return JSONResponse({"files": answers})

    async def batch(self, request: Request) -> Response:
        self._repository(request, write=True)
        objects = []
        for wanted in (await request.json())["objects"]:
            answer = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.lfs:
                href = f"{self.url}/lfs/{wanted['oid']}"
                answer["actions"] = {"upload": {"href": href}, "verify": {"href": f"{href}/verify"}}
            objects.append(answer)
        return JSONResponse({"transfer": "basic", "objects": objects})

    async def receive(self, request: Request) -> Response:
        self.requests.append((request.method, request.url.path, None))
        content = await request.body()
        if hashlib.sha256(content).hexdigest() != request.path_params["oid"]:
            raise HTTPException(400, "the content does not have the promised SHA-256")
        self.lfs[request.path_params["oid"]] = content
        return Response()

    async def verify(self, request: Request) -> Response:
        wanted = await request.json()
        if len(self.lfs.get(wanted["oid"], b"")) != wanted["size"]:
            raise HTTPException(404, "this object was not uploaded")
        return Response()

    async def make_commit(self, request: Request) -> Response:
        repository, branch = self._repository(request, write=True), request.path_params["revision"]
        if branch not in repository.branches:
            raise HTTPException(404, f"Invalid rev id: {branch}", {"X-Error-Code": "RevisionNotFound"})
        files, title = dict(repository.at(branch).files), ""
        for line in (await request.body()).splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "header":
                title = value["summary"]
            elif entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                if value["oid"] not in self.lfs:
                    raise HTTPException(400, f"the object of {value['path']} was not uploaded")
                files[value["path"]] = self.lfs[value["oid"]]
            elif entry["key"] == "deletedFile":
                if files.pop(value["path"], None) is None:
                    raise HTTPException(404, "A file with this name doesn't exist", {"X-Error-Code": "EntryNotFound"})
            elif entry["key"] == "deletedFolder":
                files = {path: kept for path, kept in files.items() if not path.startswith(value["path"] + "/")}
        commit = repository.commit(branch, title, files)
        prefix = "" if repository.kind == "model" else f"{repository.kind}s/"
        return JSONResponse(
            {
                "success": True,
                "commitOid": commit.oid,
                "commitUrl": f"{self.url}/{prefix}{repository.name}/commit/{commit.oid}",
            }
        )

    # -- downloads ----------------------------------------------------------------------------------------------------

    async def resolve(self, request: Request) -> Response:
        commit = self._repository(request).at(request.path_params["revision"])
        path = request.path_params["path"]
        headers = {"X-Repo-Commit": commit.oid}
        if path not in commit.files:
            raise HTTPException(404, "Entry not found", headers | {"X-Error-Code": "EntryNotFound"})
        content = commit.files[path]
        facts = file_facts(path, content)
        headers |= {"ETag": f'"{facts["lfs"]["oid"] if "lfs" in facts else facts["oid"]}"', "Accept-Ranges": "bytes"}
        start, status = 0, 200
        if match := re.match(r"bytes=(\d+)-$", request.headers.get("range", "")):
            start, status = int(match.group(1)), 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        headers["Content-Length"] = str(len(content) - start)
        if request.method == "HEAD":
            return Response(status_code=status, headers=headers)
        return StreamingResponse(
            self._pieces(content[start:], self._drops.pop(path, None)),
            status,
            headers,
            media_type="application/octet-stream",
        )

    @staticmethod
    async def _pieces(content: bytes, drop_after: int | None):
        for start in range(0, len(content), CHUNK):
            if drop_after is not None and start >= drop_after:
                raise ConnectionError("dropped on purpose")
            yield content[start : start + CHUNK]
