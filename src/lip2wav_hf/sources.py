"""What a user passes as a video, from wherever it comes, as something that PyAV opens.

What others than the user name, such as segments of a playlist or redirections, is read only where it may be.
"""

from __future__ import annotations

import contextlib
import functools
import io
import ipaddress
import logging
import math
import os
import re
import shutil
import socket
import stat
import tempfile
import urllib.parse
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import PictureError, VideoError, as_array, one_line
from .files import PlainReader, binary_file, read_block, rewind


if TYPE_CHECKING:
    from av.container import InputContainer

logger = logging.getLogger(__name__)

DOWNLOAD_TIMEOUT = 30.0  # seconds without an answer
DOWNLOAD_LIMIT = 4 << 30  # bytes
MOST_PIXELS = 36_000_000  # of a picture, a little more than 8K: beyond that lies what exhausts the memory
ALLOW_PRIVATE = "LIP2WAV_ALLOW_PRIVATE"  # environment variable: what the web leads to may be private too
MOST_SEGMENTS = 20_000  # of a playlist

PICTURE_FORMATS = re.compile(r"image2|tty|.*_pipe|bin|xbin|adf|idf")  # demuxers of still pictures and of text art
_NAMING_FORMATS = {"concat", "dash", "hls", "imf", "rtp", "rtsp", "sap", "sdp"}  # their files name other files
_LIST = re.compile(rb"(#EXTM3U)|(ffconcat version)|.*<MPD[\s>]", re.DOTALL)
_SLOW_TO_REWIND = {"gzip", "bz2", "lzma", "zipfile", "_compression", "compression"}  # modules of file objects
_TAG_URI = re.compile(r'(URI=")([^"]*)(")')


@dataclass(frozen=True)
class VideoPart:
    """
    A part of a video, which stands for a video wherever one is read: of a long one, only this is decoded.

    Args:
        video (`str`, `os.PathLike`, `bytes`, binary file object or `np.ndarray`): as for [`VideoReader`].
        start (`float`, *optional*, defaults to 0.0): where the part begins, in seconds after the first picture.
        end (`float`, *optional*): where it ends; with the video by default.

    Raises:
        VideoError: if it does not end after its start.
    """

    video: Any
    start: float = 0.0
    end: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start < (math.inf if self.end is None else self.end):
            raise VideoError(f"{self}: a part begins at 0 s or later, and ends after that. Check its start and end.")

    @property
    def suffix(self) -> str:
        """Of the file, with its dot; empty for what is no path."""
        return os.path.splitext(self.video)[1] if isinstance(self.video, (str, os.PathLike)) else ""

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self)

    def __str__(self) -> str:
        video = self.video if isinstance(self.video, (str, os.PathLike)) else type(self.video).__name__
        return f"{video} ({self.start:g} to {'its end' if self.end is None else f'{self.end:g} s'})"


def split_part(video: Any) -> tuple[Any, Fraction, Fraction | None]:
    """A video or a part of one as the video, the part's beginning and its end, in seconds."""
    if not isinstance(video, VideoPart):
        return as_array(video), Fraction(0), None
    end = None if video.end is None else Fraction(video.end).limit_denominator(1_000_000)
    return as_array(video.video), Fraction(video.start).limit_denominator(1_000_000), end


def each_video(videos: Any) -> Iterator[Any] | None:
    """
    The videos of a collection that is no list or tuple: of a table of `datasets`, of one of its columns, of any
    iterator; `None` for one video.

    Raises:
        VideoError: if it is a table, and none of its columns is of videos.
    """
    if hasattr(videos, "column_names"):
        return _rows(videos)
    if hasattr(getattr(videos, "source", None), "cast_column"):  # a column of a table of `datasets`
        return _rows(videos.source, videos.column_name)
    if hasattr(videos, "iterrows") and hasattr(videos, "columns"):  # pandas
        return iter(videos[_video_column(videos, list(videos.columns), {})])
    if getattr(getattr(videos, "dtype", None), "kind", "") in ("O", "U", "S") and hasattr(videos, "ravel"):
        return iter(videos.ravel().tolist())
    is_one = isinstance(videos, (str, bytes, bytearray, memoryview, os.PathLike, Mapping, list, tuple, VideoPart))
    is_one = is_one or hasattr(videos, "read") or hasattr(videos, "_hf_encoded") or hasattr(videos, "regions")
    is_array = hasattr(videos, "__array__") and not hasattr(videos, "iloc")  # the latter: pandas
    return iter(videos) if isinstance(videos, Iterable) and not is_one and not is_array else None


def _rows(table: Any, column: str = "") -> Iterator[Any]:
    if isinstance(table, Mapping):  # its splits
        raise VideoError(f"These are {len(table)} tables: {', '.join(map(str, table))}. Pass one, by its name.")
    features = dict(getattr(table, "features", None) or {})
    column = column or _video_column(table, list(table.column_names or features), features)
    if getattr(features.get(column), "decode", False):  # the file itself is what is read here
        table = table.cast_column(column, replace(features[column], decode=False))
    return (row[column] for row in table)


def _video_column(table: Any, columns: list[Any], features: dict[str, Any]) -> str:
    of_videos = [name for name in columns if type(features.get(name)).__name__ == "Video"]
    if "video" in columns:
        return "video"
    if len(of_videos) == 1:
        return of_videos[0]
    raise VideoError(
        f"The {type(table).__name__} has no column `video`, but {', '.join(map(str, columns)) or 'none'}. Name "
        'that with the videos: transformers.pipelines.pt_utils.KeyDataset(dataset, "column").'
    )


def readable_path(location: str) -> str | None:
    """
    The path of a file, pipe or device that can be read; `None` for an address of the web.

    Raises:
        VideoError: if it names nothing that can be read.
    """
    scheme = re.match(r"(https?|file):|([A-Za-z][\w+.-]+)://", location, re.IGNORECASE)
    if scheme and scheme[2]:
        raise VideoError(
            f"{location}: {scheme[2]}: addresses of this kind are not read. Use http(s):, file: or a path."
        )
    if scheme and scheme[1].lower() != "file":
        return None
    path = local_path(location) if scheme else location
    if not os.path.exists(path):
        raise VideoError(f"{location}: there is no such file. Check the path (working folder: {os.getcwd()}).")
    if os.path.isdir(path):
        raise VideoError(f"{location}: it is a folder. Pass one video file.")
    if not os.access(path, os.R_OK):
        raise VideoError(f"{location}: no permission to read it. Change its permissions.")
    return path


class Source:
    """
    A path, URL, bytes or file object as the `target` of `av.open`; `close` removes what was downloaded.

    Args:
        video (`str`, `os.PathLike`, `bytes` or binary file object): As for [`VideoReader`].
        timeout (`float`, *optional*, defaults to 30.0): Seconds to wait for a server.
        max_bytes (`int`, *optional*, defaults to 4 GiB): Size in bytes above which a download is refused.
        allow_private (`bool`, *optional*): As for [`VideoReader`].

    Raises:
        VideoError: there is nothing to read there, or it is not of these kinds.
    """

    name: str
    target: Any

    def __init__(
        self,
        video: Any,
        timeout: float = DOWNLOAD_TIMEOUT,
        max_bytes: int = DOWNLOAD_LIMIT,
        allow_private: bool | None = None,
    ):
        if allow_private is None and os.environ.get(ALLOW_PRIVATE):
            allow_private = True
        self._web = _Web(timeout, max_bytes, allow_private)
        self._remove: weakref.finalize | None = None
        self.format: str | None = None  # of a playlist
        self.pictures: int | None = None  # index of the stream that was chosen among several, see `open_pictures`
        if isinstance(video, (str, os.PathLike)):
            self._init_from_location(os.fsdecode(os.fspath(video)))
        elif isinstance(video, (bytes, bytearray, memoryview)):
            self.name = f"video of {len(video)} bytes"
            if not len(video):
                raise VideoError(f"{self.name}: it is empty. Pass the whole content of a video file.")
            self.target = io.BytesIO(video)
        elif hasattr(video, "read"):
            self._init_from_file_object(video)
        else:
            raise VideoError(
                f"A video cannot be a {type(video).__name__}. Pass a path, a URL, the bytes of a video file, "
                "a binary file object, or a uint8 NumPy array (frames, height, width, 3) with fps=."
            )
        try:
            self._resolve_list()
        except BaseException:
            self.close()
            raise

    def _init_from_location(self, location: str) -> None:
        self.name = location
        if (path := readable_path(location)) is None:
            self.target = self._spool(lambda file: self._web.fetch(location, file))
            return
        if not os.path.isfile(path):
            self._init_from_pipe(path)
            return
        if os.path.getsize(path) == 0:
            raise VideoError(f"{location}: the file is empty (0 bytes). Copy or download it again.")
        self.target = os.path.abspath(path)  # absolute: never taken for a protocol of FFmpeg such as `concat:`
        if not _is_utf8(self.target):  # what FFmpeg cannot be told, it is given open
            self.target = PlainReader(self._kept(open(self.target, "rb")), self.name)

    def _init_from_pipe(self, path: str) -> None:
        """What can be read once only: a FIFO, a socket, /dev/stdin."""
        mode = os.stat(path).st_mode
        if stat.S_ISBLK(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode):
            kind = "socket" if stat.S_ISSOCK(mode) else "device"
            raise VideoError(f"{self.name}: it is a {kind}, not a video file. Pass a file, or pipe a video into it.")
        with open(path, "rb", buffering=0) as pipe:
            self.target = self._spool(lambda file: self._web.copy(pipe, file, self.name))

    def _init_from_file_object(self, file: Any) -> None:
        file = binary_file(file)
        name = getattr(file, "name", None)
        self.name = name if isinstance(name, str) and name else "file object"
        if isinstance(file, io.TextIOBase):
            raise VideoError(f"{self.name}: the file is open as text. Open it in binary mode, open(path, 'rb').")
        if getattr(file, "closed", False) is True:
            raise VideoError(f"{self.name}: the file object is closed. Pass it while it is open.")
        slow = type(file).__module__.partition(".")[0] in _SLOW_TO_REWIND
        try:
            if rewind(file) and not slow:
                if not read_block(file, 1, self.name):
                    raise VideoError(f"{self.name}: it is empty (0 bytes): there is no video in it.")
                file.seek(0)
                self.target = PlainReader(file, self.name)
            else:
                self.target = self._spool(lambda copy: self._web.copy(file, copy, self.name))
        except VideoError:
            raise
        except Exception as error:  # whatever the object raises
            raise VideoError(
                f"{self.name}: the file object cannot be read ({one_line(error)}). Open it for reading, as bytes."
            ) from error

    def _kept(self, opened: Any) -> Any:
        """Something that is closed, or a folder that is removed, with this source; also if nobody closes it."""
        earlier = self._remove
        self._remove = weakref.finalize(self, _let_go, opened, earlier)
        return opened

    def _spool(self, fill: Callable[[Any], object]) -> str:
        """A temporary file with what comes from elsewhere; returns the path."""
        suffix = os.path.splitext(urllib.parse.urlsplit(self.name).path)[1][:8]
        handle, path = tempfile.mkstemp(prefix="lip2wav-", suffix=suffix if suffix.isascii() else "")
        self._kept(path)
        try:
            with os.fdopen(handle, "wb") as temporary:
                fill(temporary)
        except BaseException:
            self.close()
            raise
        return path

    def _resolve_list(self) -> None:
        """Of a file that names others, have those at hand; refuse what it may not name."""
        with contextlib.closing(_Start(self.target)) as start:
            kind = _LIST.match(start.read().removeprefix(b"\xef\xbb\xbf"))
            if kind is None:
                return
            what = "a playlist" if kind[1] else "a list of files"
            is_url = re.match(r"https?:", self.name, re.IGNORECASE) is not None
            if not isinstance(self.target, str) or not (is_url or self._remove is None):
                raise VideoError(f"{self.name}: it is {what}, which names other files. Pass its path or its address.")
            if self._web.allow_private is False and not (is_url and kind[1]):
                raise VideoError(f"{self.name}: it is {what}, which names other files. Send the video itself.")
            if not kind[1] and is_url:
                raise VideoError(
                    f"{self.name}: it is {what}, which is read from a disk only. Download it with all its files first."
                )
            if not kind[1]:
                self.format = "concat" if kind[2] else "dash"
                return
            text = start.read_all().decode("utf-8-sig", errors="replace")
        base = self.name if is_url else self.target
        self._web.connections += not is_url  # the user has named the file, and it names the rest
        folder = tempfile.mkdtemp(prefix="lip2wav-")
        self._kept(folder)
        self.target, self.format = Playlist(self.name, self._web, Path(folder)).write(text, base), "hls"

    def open(self) -> InputContainer:
        """The PyAV container; its decoders start from the beginning, however often it is opened."""
        import av  # noqa: PLC0415

        if hasattr(self.target, "seek"):
            self.target.seek(0)
        options = {"protocol_whitelist": "file,crypto,data", "max_pixels": str(MOST_PIXELS)}
        if self.format in (None, "hls"):
            options["format_whitelist"] = _plain_formats() + (",hls" if self.format else "")
        if self.format == "hls":
            options |= {"allowed_extensions": "ALL", "extension_picky": "0"}
        try:
            container = open_container(self.target, format=self.format, options=options)
        except (av.FFmpegError, OSError, ValueError) as error:
            cause = getattr(self.target, "fault", None) or getattr(error, "strerror", None) or error
            advice = "Check that it plays in a video player, or convert it to .mp4."
            if self.format == "dash":  # no wheel of PyAV reads them
                advice = "It is a DASH manifest. Make one file of it: ffmpeg -i MANIFEST -c copy video.mp4"
            raise VideoError(f"{self.name}: it is not a video that can be read ({cause}). {advice}") from error
        if PICTURE_FORMATS.fullmatch(container.format.name):
            container.close()
            raise PictureError(f"{self.name}: it is a still picture or a text, not a video. Pass a video file.")
        return container

    def close(self) -> None:
        """Rewind a file object; remove what was downloaded."""
        target: Any = getattr(self, "target", None)
        if hasattr(target, "seek") and not getattr(target, "closed", False):
            with contextlib.suppress(Exception):  # the object is the user's: it may have been closed in the meantime
                target.seek(0)
        if self._remove is not None:
            self._remove()


def open_container(target: Any, **options: Any) -> InputContainer:
    """What [`av.open`] opens for reading, also where its titles are no UTF-8: before 19, PyAV has to be told."""
    import av  # noqa: PLC0415  commands read this module for their options

    before_19 = int(av.__version__.partition(".")[0]) < 19
    return av.open(target, "r", **options, **({"metadata_errors": "replace"} if before_19 else {}))


@functools.cache
def _plain_formats() -> str:
    """The names of the demuxers whose files stand for themselves, as FFmpeg's `format_whitelist`."""
    import av  # noqa: PLC0415

    names = {name for each in av.formats_available for name in (each, *each.split(","))}
    return ",".join(sorted(names - _NAMING_FORMATS))


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _let_go(opened: Any, earlier: weakref.finalize | None) -> None:
    with contextlib.suppress(OSError):
        if not isinstance(opened, str):
            opened.close()
        elif os.path.isdir(opened):
            shutil.rmtree(opened, ignore_errors=True)
        else:
            os.remove(opened)
    if earlier is not None:
        earlier()


def local_path(url: str) -> str:
    """The path of a `file:` URL."""
    from urllib.request import url2pathname  # noqa: PLC0415  slow to import

    return url2pathname(urllib.parse.urlsplit(url).path)


class _Start:
    """The first bytes of a target, and all of them if need be."""

    def __init__(self, target: Any) -> None:
        self._file = open(target, "rb") if isinstance(target, str) else target
        self._own = isinstance(target, str)

    def read(self) -> bytes:
        return self._file.read(4096)

    def read_all(self) -> bytes:
        self._file.seek(0)
        return self._file.read(16 << 20)

    def close(self) -> None:
        if self._own:
            self._file.close()
        else:
            self._file.seek(0)


# ---------------------------------------------------------------------------------------------------------------------
# The web: downloads and playlists, and where they may lead
# ---------------------------------------------------------------------------------------------------------------------


class RefusedError(VideoError):
    """An address or a file that may not be read on behalf of whoever named it."""


def is_private(address: str) -> bool:
    """Whether an IP address is of this machine or of a network that is not the internet."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip.version == 6:
        nat64 = ipaddress.ip_network("64:ff9b::/96")
        ip = ip.ipv4_mapped or ip.sixtofour or (ipaddress.ip_address(ip.packed[-4:]) if ip in nat64 else ip)
    return not ip.is_global or ip.is_multicast


@dataclass
class _Web:
    """Downloads for one source: how long they wait, how much they take in all, and whom they ask."""

    timeout: float
    max_bytes: int
    allow_private: bool | None
    received: int = 0
    connections: int = 0
    is_inside: bool = False  # what the user named is on a private network itself, and so may name its neighbours

    def check(self, addresses: set[str], name: str) -> None:
        """Refuse private addresses: those that a page is given, and those that the web leads to."""
        private = sorted(filter(is_private, addresses))
        self.connections += 1
        if self.connections == 1 and self.allow_private is None:
            self.is_inside = bool(private)
        if private and not (self.allow_private or self.is_inside):
            raise RefusedError(
                f"{name}: {private[0]} is not an address of the internet, and is not read here. Send the file itself, "
                "or allow it with allow_private=True (--allow-private)."
            )

    def fetch(self, url: str, file: Any) -> str:
        """Download into an open file; returns the address that was reached in the end."""
        from urllib.error import HTTPError  # noqa: PLC0415  slow to import

        try:
            with self._opener().open(url, timeout=self.timeout) as response:
                self.copy(response, file, url, int(response.headers.get("Content-Length") or 0))
                return response.geturl()
        except HTTPError as error:
            raise VideoError(
                f"{url}: the server answered {error.code} ({error.reason}). Check that the address opens in a browser."
            ) from error
        except TimeoutError as error:
            raise VideoError(f"{url}: no answer within {self.timeout:g} s. Try again, or raise timeout=.") from error
        except VideoError:
            raise
        except Exception as error:  # of sockets, TLS, HTTP, addresses
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, TimeoutError):
                reason = f"no answer within {self.timeout:g} s"
            raise VideoError(f"{url}: it cannot be reached ({reason}). Check the address and the network.") from error

    def copy(self, stream: Any, file: Any, name: str, expected_bytes: int = 0) -> None:
        """Copy a stream that cannot be rewound into an open file."""
        too_large = f"{name}: it is larger than the limit of {self.max_bytes} bytes. Raise max_bytes= to allow it."
        received = 0
        while self.received + max(received, expected_bytes) <= self.max_bytes:
            try:
                block = read_block(stream, 1 << 14, name)  # little is lost with a fault
            except (OSError, EOFError) as error:
                if not received:
                    raise
                logger.warning("%s: reading it failed (%s); what follows is missing.", name, one_line(error))
                break
            if not block:
                break
            received += len(block)
            try:
                file.write(block)
                file.flush()
            except OSError as error:
                place = tempfile.gettempdir()
                raise VideoError(
                    f"{name}: it cannot be copied to {place} ({one_line(error)}). Make room there, or set TMPDIR."
                ) from error
        else:
            raise VideoError(too_large)
        self.received += received
        if received == 0 or received < expected_bytes:
            raise VideoError(f"{name}: only {received} bytes came before the connection closed. Try again.")

    def _opener(self) -> Any:
        """What opens http(s): alone, also where a server redirects to."""
        from http import client  # noqa: PLC0415  slow to import
        from urllib import request  # noqa: PLC0415  slow to import

        def addresses(host: str, port: int | None = None) -> list[str]:
            """Of a host, once they have been checked: it may change its mind, so these are what is connected to."""
            found = [str(each[4][0]) for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
            self.check(set(found), host)
            return list(dict.fromkeys(found))

        def connect(place: tuple[str, int], *options: Any) -> socket.socket:
            *others, last = addresses(*place)
            for address in others:
                with contextlib.suppress(OSError):
                    return socket.create_connection((address, place[1]), *options)
            return socket.create_connection((last, place[1]), *options)

        class _Checked:
            def __init__(self, *arguments: Any, **options: Any) -> None:
                super().__init__(*arguments, **options)
                self._create_connection = connect

        class _HTTP(_Checked, client.HTTPConnection):
            pass

        class _HTTPS(_Checked, client.HTTPSConnection):
            pass

        def is_proxied(wanted: Any) -> bool:
            if not (wanted.has_proxy() or getattr(wanted, "_tunnel_host", None)):
                return False
            try:
                addresses(urllib.parse.urlsplit(wanted.full_url).hostname or "")
            except OSError:  # a name that the proxy alone knows
                if self.allow_private is False:
                    raise
            return True

        class _OverHTTP(request.HTTPHandler):
            def http_open(self, req: Any) -> Any:
                return self.do_open(client.HTTPConnection if is_proxied(req) else _HTTP, req)

        class _OverHTTPS(request.HTTPSHandler):
            def https_open(self, req: Any) -> Any:
                return self.do_open(client.HTTPSConnection if is_proxied(req) else _HTTPS, req)

        opener = request.OpenerDirector()
        for handler in (
            *(request.ProxyHandler, request.UnknownHandler, _OverHTTP, _OverHTTPS),
            *(request.HTTPDefaultErrorHandler, request.HTTPRedirectHandler, request.HTTPErrorProcessor),
        ):
            opener.add_handler(handler())
        opener.addheaders = [("User-Agent", "lip2wav-hf")]
        return opener


@dataclass
class Playlist:
    """
    An HLS playlist, made to stand for itself: what it names lies on this disk, and was allowed to be read.

    Args:
        name (`str`): what messages call it.
        web ([`_Web`]): what downloads.
        folder (`Path`): where downloads and the new playlist go.
    """

    name: str
    web: _Web
    folder: Path
    _here: dict[str, str] = field(default_factory=dict)

    def write(self, text: str, base: str, depth: int = 0) -> str:
        """
        Write a playlist like `text`, which lies at the path or address `base`; returns its path.

        Raises:
            VideoError: if nothing that it names can be read, or may be.
        """
        if "#EXT-X-STREAM-INF" in text:
            if depth == 3:
                raise VideoError(f"{self.name}: it names playlists that name playlists. Pass the last of them.")
            named, sound = self._best(text)
            pictures, track = self._nested(named, base, depth + 1), None
            try:
                track = self._nested(sound, base, depth + 1) if sound else None
            except RefusedError:
                raise
            except VideoError as error:
                logger.warning("%s: its sound is missing (%s).", self.name, error)
            if track is None:
                return pictures
            lines = ["#EXTM3U", f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",DEFAULT=YES,URI="{track}"']
            lines += ['#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"', pictures]
        else:
            lines = [*self._lines(text, base), "#EXT-X-ENDLIST"]
        path = self.folder / f"list{len(list(self.folder.glob('list*')))}.m3u8"
        path.write_text("\n".join([*lines, ""]), encoding="utf-8")
        return str(path)

    def _nested(self, named: str, base: str, depth: int) -> str:
        """Write a playlist that another names, as [`write`]."""
        there, address = self._bring(named, base), urllib.parse.urljoin(base, named)
        text = Path(there).read_text(encoding="utf-8-sig", errors="replace")[: 16 << 20]
        return self.write(text, address if _is_web(address) else there, depth)

    def _best(self, text: str) -> tuple[str, str]:
        """The variant with the most pixels, then the most bits; and its sound, if that is by itself."""
        variants = []
        for attributes, uri in re.findall(
            r"#EXT-X-STREAM-INF:([^\r\n]*)[\r\n]+(?:#[^\r\n]*[\r\n]+)*([^#\s][^\r\n]*)", text
        ):
            size = re.search(r"RESOLUTION=(\d{1,5})x(\d{1,5})", attributes)
            rate = re.search(r"(?<![-\w])BANDWIDTH=(\d{1,12})", attributes)
            pixels = int(size[1]) * int(size[2]) if size else 0
            sound = re.search(r'AUDIO="([^"]*)"', attributes)
            variants.append(
                (pixels, int(rate[1]) if rate else 0, -len(variants), uri.strip(), sound[1] if sound else None)
            )
        if not variants:
            raise VideoError(f"{self.name}: it is a playlist that names no video. Check that it plays.")
        *_, uri, group = max(variants, key=lambda each: each[:3])
        tracks = [line for line in re.findall(r"#EXT-X-MEDIA:([^\r\n]*)", text) if "TYPE=AUDIO" in line]
        tracks = sorted(
            (each for each in tracks if f'GROUP-ID="{group}"' in each), key=lambda e: "DEFAULT=YES" not in e
        )
        sounds = [found[2] for each in tracks if (found := _TAG_URI.search(each))]
        return uri, sounds[0] if sounds else ""

    def _lines(self, text: str, base: str) -> Iterator[str]:
        """The lines of the new playlist. Segments that are not there are left out, and a warning says so."""
        dropped, kept, lost = ("MEDIA:", "I-FRAME", "SESSION", "PART", "PRELOAD", "RENDITION", "ENDLIST"), 0, []
        for line in map(str.strip, text.splitlines()):
            if line.startswith(tuple(f"#EXT-X-{name}" for name in dropped)):
                continue
            if line.startswith("#EXT-X-"):
                line = _TAG_URI.sub(lambda found: found[1] + self._bring(found[2], base) + found[3], line)
            elif line and not line.startswith("#"):
                if kept + len(lost) >= MOST_SEGMENTS:
                    raise VideoError(f"{self.name}: it names more than {MOST_SEGMENTS} files. Join them first.")
                try:
                    line, kept = self._segment(line, base), kept + 1
                except RefusedError:
                    raise
                except VideoError as error:
                    lost.append(error)
                    continue
            if line:
                yield line
        if not kept:
            raise lost[0] if lost else VideoError(f"{self.name}: it is a playlist that names no video. Check it.")
        if lost:
            logger.warning(
                "%s: %d of its %d segments are missing (%s).", self.name, len(lost), kept + len(lost), lost[0]
            )

    def _segment(self, uri: str, base: str) -> str:
        """As [`_bring`], of what is no list itself: FFmpeg would follow it, wherever it leads."""
        path = self._bring(uri, base)
        with open(path, "rb") as file:
            if _LIST.match(file.read(4096).removeprefix(b"\xef\xbb\xbf")):
                raise RefusedError(f"{self.name}: it names {uri[:80]}, which names other files. Pass that one.")
        return path

    def _bring(self, uri: str, base: str) -> str:
        """The path, on this disk, of what a playlist names."""
        address = urllib.parse.urljoin(base, uri) if _is_web(base) or _is_web(uri) else uri
        if _is_web(address):
            if address not in self._here:
                suffix = os.path.splitext(urllib.parse.urlsplit(address).path)[1][:8]
                path = self.folder / f"{len(self._here)}{suffix if re.fullmatch(r'[.][A-Za-z0-9]+', suffix) else ''}"
                with path.open("wb") as file:
                    self.web.fetch(address, file)
                self._here[address] = str(path)
            return self._here[address]
        scheme = re.match(r"([A-Za-z][\w+.-]+)[:,]", address)
        if scheme and scheme[1].lower() != "file":
            raise RefusedError(f"{self.name}: it names {address[:80]}, an address of a kind that is not read.")
        if _is_web(base) and not self.web.allow_private:
            raise RefusedError(f"{self.name}: it names {address[:80]}, a file of this machine, which is not read.")
        path = local_path(address) if scheme else address
        for candidate in (path, urllib.parse.unquote(path)):
            here = os.path.abspath(os.path.join(os.path.dirname(base), candidate))
            if os.path.isfile(here):
                return here
        raise VideoError(f"{self.name}: it names {address[:80]}, but there is no such file.")


def _is_web(address: str) -> bool:
    return re.match(r"https?:", address, re.IGNORECASE) is not None


__all__ = [
    "ALLOW_PRIVATE",
    "DOWNLOAD_LIMIT",
    "DOWNLOAD_TIMEOUT",
    "MOST_PIXELS",
    "Source",
    "VideoPart",
    "each_video",
    "open_container",
    "readable_path",
    "split_part",
]
