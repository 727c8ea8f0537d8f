"""Rows of the problem table: what operators do with rooms."""

from http import HTTPStatus
from typing import Any

from waitline.gate.model import ProtectionChanged, ProtectionInvalid, ProxyUntrusted
from waitline.gate.returns import ReturnRefused, SiteSignatureRefused
from waitline.gate.site_key import SiteKeyRefused
from waitline.http.problems import C001, C002, C003, C005, Problem
from waitline.http.texts import Text
from waitline.kernel.ids import REHEARSALS
from waitline.queue.claims import PassUsed
from waitline.queue.model import (
    RoomExists,
    RoomNameReserved,
    RoomNameUnreachable,
    RoomOccupied,
    TooManyRooms,
)
from waitline.queue.walk_ins import LineFormed

ROOM_PROBLEMS: list[Problem[Any]] = [
    Problem(
        RoomExists,
        HTTPStatus.CONFLICT,
        C005,
        "room-exists",
        Text("이미 존재하는 대기실", "Room already exists"),
    ),
    Problem(
        RoomOccupied,
        HTTPStatus.CONFLICT,
        C005,
        "room-occupied",
        Text("이용 중인 대기실", "Room in use"),
        detail=lambda room: Text(
            f"대기 중 {room.waiting:,}명, 이용 중 {room.admitted:,}명입니다.",
            f"The room has {room.waiting:,} waiting and {room.admitted:,} admitted.",
        ),
    ),
    Problem(
        TooManyRooms,
        HTTPStatus.CONFLICT,
        C005,
        "too-many-rooms",
        Text("대기실 개수 초과", "Too many rooms"),
    ),
    Problem(
        RoomNameReserved,
        HTTPStatus.CONFLICT,
        C005,
        "room-name-reserved",
        Text("사용할 수 없는 대기실 이름", "Reserved room name"),
        detail=lambda _: Text(
            f"room: {REHEARSALS}로 시작하는 이름은 리허설 전용이며, 리허설을 정리할 때 삭제됩니다. "
            "다른 이름을 사용해 주세요.",
            f"room: names that begin with {REHEARSALS} belong to rehearsals, whose clean-up "
            "deletes such rooms. Choose another name.",
        ),
    ),
    Problem(
        ProtectionInvalid,
        HTTPStatus.BAD_REQUEST,
        C001,
        "protection-invalid",
        Text("올바르지 않은 보호 규칙", "Invalid protection rules"),
        detail=lambda it: Text(it.reason, it.reason),
    ),
    Problem(
        ProtectionChanged,
        HTTPStatus.CONFLICT,
        C005,
        "protection-changed",
        Text("변경된 보호 규칙", "Protection rules have changed"),
        detail=lambda it: Text(
            f"현재 버전은 {it.version}입니다. 규칙을 다시 조회해 주세요.",
            f"The current version is {it.version}. Fetch the rules again.",
        ),
        data=lambda it: {"version": it.version},
    ),
    Problem(
        RoomNameUnreachable,
        HTTPStatus.BAD_REQUEST,
        C001,
        "room-name-unreachable",
        Text("주소로 쓸 수 없는 대기실 이름", "Room name that no address leads to"),
        detail=lambda _: Text(
            "대기실 이름을 /로 나눈 각 부분은 . 또는 ..일 수 없으며, 이름이 /addresses, /changes, "
            "/now-serving으로 끝날 수 없습니다. 다른 이름을 사용해 주세요.",
            "A room's name must not be . or .. or have them between slashes, nor end with "
            "/addresses, /changes or /now-serving. Choose another name.",
        ),
    ),
    Problem(
        LineFormed,
        HTTPStatus.CONFLICT,
        C005,
        "line-formed",
        Text("대기열 운영 중", "The room has a line"),
    ),
    Problem(
        PassUsed,
        HTTPStatus.CONFLICT,
        C005,
        "pass-used",
        Text("다른 브라우저에서 사용 중인 입장권", "Pass used in another browser"),
    ),
    Problem(
        ProxyUntrusted,
        HTTPStatus.FORBIDDEN,
        C003,
        "gate-untrusted",
        Text("신뢰하지 않는 프록시", "Untrusted proxy"),
        detail=lambda _: Text(
            "이 주소는 WAITLINE_TRUSTED_PROXIES에 없습니다.",
            "This address is not in WAITLINE_TRUSTED_PROXIES.",
        ),
    ),
    Problem(
        ReturnRefused,
        HTTPStatus.BAD_REQUEST,
        C001,
        "return-refused",
        Text("서명되지 않은 복귀 주소", "Return address not signed"),
    ),
    Problem(
        SiteSignatureRefused,
        HTTPStatus.UNAUTHORIZED,
        C002,
        "site-signature-refused",
        Text("사이트 서명 오류", "Invalid signature of the site"),
    ),
    Problem(
        SiteKeyRefused,
        HTTPStatus.UNAUTHORIZED,
        C002,
        "site-key-refused",
        Text("사이트 키 오류", "Invalid site key"),
        detail=lambda _: Text(
            "X-Site-Key 헤더에 WAITLINE_SITE_KEY와 같은 값을 보내 주세요.",
            "Send the value of WAITLINE_SITE_KEY in the header X-Site-Key.",
        ),
    ),
]
