"""Messages of the queue service's successes, in Korean and English."""

from waitline.http.texts import Text

ENTERED = Text("대기열에 진입했습니다.", "You have joined the line.")
STATUS = Text("대기열 상태입니다.", "Your status in the line.")
ACTIVATED = Text("입장이 활성화되었습니다.", "Your visit has started.")
EXTENDED = Text("이용 시간이 연장되었습니다.", "Your time has been extended.")
CLAIMED = Text("이 브라우저의 입장권입니다.", "The pass belongs to this browser.")
SLID = Text("이용 시간이 갱신되었습니다.", "Your time on the site has been renewed.")
WALKED_IN = Text("대기 없이 입장했습니다.", "The visitor is admitted without a line.")
VALID = Text("유효한 토큰입니다.", "The token is valid.")
REMOVED = Text("대기열에서 나갔습니다.", "You have left the line.")
RETURN = Text("돌아갈 주소입니다.", "Address to return to.")
ROOMS = Text("대기실 목록입니다.", "List of rooms.")
ROOM = Text("대기실 정보입니다.", "Room details.")
ADDRESSES = Text("클라이언트 주소별 현황입니다.", "Client addresses.")
ROOM_CHANGES = Text("대기실의 변경 기록입니다.", "Change log of the room.")
ROOM_CREATED = Text("대기실을 생성했습니다.", "Room created.")
ROOM_CHANGED = Text("대기실을 변경했습니다.", "Room changed.")
ROOM_RESET = Text("대기실을 초기화했습니다.", "Room reset.")
ROOM_DELETED = Text("대기실을 삭제했습니다.", "Room deleted.")
