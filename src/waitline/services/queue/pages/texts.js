// Texts of the waiting page, in Korean and English.

const minutesKo = (minutes) =>
  [Math.floor(minutes / 60), minutes % 60]
    .map((count, index) => (count ? `${count}${["시간", "분"][index]}` : ""))
    .filter(Boolean)
    .join(" ");

const counted = (count, unit) => (count ? `${count} ${unit}${count === 1 ? "" : "s"}` : "");
const minutesEn = (minutes) =>
  [counted(Math.floor(minutes / 60), "hour"), counted(minutes % 60, "minute")]
    .filter(Boolean)
    .join(" ");

const durationKo = (seconds) => (seconds < 60 ? `${seconds}초` : minutesKo(Math.round(seconds / 60)));
const durationEn = (seconds) =>
  seconds < 60 ? counted(seconds, "second") : minutesEn(Math.round(seconds / 60));

export const TEXTS = {
  ko: {
    name: "한국어",
    languages: "언어",
    labels: {
      "line-title": "대기열에 등록하고 있습니다",
      "estimate-title": "예상 대기 시간",
      "opens-title": "오픈까지 남은 시간",
      hint: "이 페이지를 열어 두세요. 차례가 되면 자동으로 입장합니다.",
      rules: "대기열 이용 안내",
      alert: "차례가 되면 알림 받기",
      "leave-line": "대기열에서 나가기",
      "keep-text":
        "이 브라우저는 쿠키를 저장하지 않습니다. 아래 링크가 있어야 대기 순번을 되찾을 수 있으니 보관해 두시고, 다른 사람에게 보내지 마세요.",
      "keep-link": "내 대기 순번 링크",
      copy: "링크 복사",
      "gate-title": "쿠키를 사용할 수 없습니다",
      "gate-text":
        "이 브라우저는 쿠키를 저장하지 않아, 페이지를 닫으면 대기 순번을 되찾을 수 없습니다. 쿠키를 허용한 뒤 페이지를 새로 고치거나, 대기 순번이 담긴 개인 링크를 받아 대기하실 수 있습니다.",
      join: "링크를 받고 대기하기",
      "turn-title": "입장하실 차례입니다",
      "left-title": "남은 시간",
      activate: "지금 입장하기",
      extend: "시간 연장",
      "leave-turn": "나가기",
      again: "다시 대기하기",
    },
    modes: {
      upcoming: "오픈 전",
      open: "진행 중",
      paused: "일시 중지",
      draining: "신규 대기 마감",
      closed: "마감",
      "sold-out": "매진",
    },
    position: "나의 대기 순번",
    notJoined: "아직 대기 중이 아닙니다",
    days: (count) => `${count}일`,
    waiting: (total, position) =>
      position === 1 ? "바로 다음 차례입니다" : `현재 ${total}명이 기다리고 있습니다`,
    progress: (percent, position) => `${percent}% 진행, ${position}번째`,
    spoken: (position, words) => `대기 순번 ${position}번. ${words}.`,
    wait: (low, high) => {
      if (high <= 1) return "1분 미만";
      if (low === 0) return `${minutesKo(high)} 이내`;
      if (low === high) return `약 ${minutesKo(low)}`;
      if (high < 60) return `약 ${low}~${high}분`;
      return `약 ${minutesKo(low)}~${minutesKo(high)}`;
    },
    unknown: "예상 대기 시간을 계산하고 있습니다",
    stopped: "입장이 일시 중지되었습니다",
    closed: "입장이 마감되었습니다",
    soldOut: "지금은 남은 좌석이 없습니다",
    soldOutHint:
      "대기 순번은 그대로 유지됩니다. 취소표가 나오면 순번대로 자동 입장하니 이 페이지를 열어 두세요.",
    closedHint: "대기 순번은 그대로 유지됩니다. 입장이 다시 시작되면 순번대로 자동 입장합니다.",
    opensAt: (when) => `${when} 오픈`,
    closesAt: (when) => `${when} 마감`,
    opensHint: "선착순으로 입장합니다. 지금 받은 순번은 오픈 후에도 유지되며, 오픈하면 순번대로 자동 입장합니다.",
    rule: (idle, back) =>
      back
        ? `차례가 왔을 때 연결이 ${durationKo(idle)} 이상 끊겨 있으면 다음 분이 먼저 입장합니다. 이후 ${durationKo(back)} 안에 다시 접속하시면 바로 다음 차례로 입장합니다.`
        : `차례가 왔을 때 연결이 ${durationKo(idle)} 이상 끊겨 있으면 대기 순번이 만료됩니다.`,
    alertOn: {
      both: "차례가 되면 소리와 알림으로 알려 드립니다.",
      sound: "차례가 되면 소리로 알려 드립니다. 소리를 켜 두세요.",
    },
    waitingToJoin: "이 탭을 열면 대기가 시작됩니다",
    copied: "복사했습니다",
    called: "입장하실 차례입니다!",
    ready: "남은 시간 안에 입장해 주세요.",
    readyTitle: "입장 가능 시간",
    turnText: "지금 이용하실 수 있습니다. 남은 시간을 확인해 주세요.",
    going: "자동으로 이동하고 있습니다…",
    lastMinute: "1분 남았습니다.",
    spent: "더 이상 연장할 수 없습니다.",
    over: {
      expired: { title: "이용 시간이 끝났습니다", text: () => "계속하시려면 다시 대기해 주세요." },
      missed: {
        title: "입장 시간이 지났습니다",
        text: () => "차례가 되었지만 제한 시간 안에 입장하지 않으셨습니다. 다시 대기해 주세요.",
      },
      passed: {
        title: "대기 순번이 만료되었습니다",
        text: (idle) =>
          idle
            ? `차례가 왔을 때 이 기기의 연결이 ${durationKo(idle)} 넘게 끊겨 있었습니다. 다시 대기해 주세요.`
            : "차례가 왔을 때 이 기기의 연결이 끊겨 있었습니다. 다시 대기해 주세요.",
      },
      left: { title: "대기열에서 나왔습니다", text: () => "원하시면 언제든 다시 대기하실 수 있습니다." },
      gone: {
        title: "대기 정보를 찾을 수 없습니다",
        text: () => "이용이 끝났거나 대기 순번이 만료되었습니다.",
      },
    },
    kept: "대기 순번은 그대로 유지됩니다.",
    away: (seconds) => `이 기기의 연결이 ${durationKo(seconds)} 동안 끊겼습니다.`,
    returned: "연결이 끊긴 사이 차례가 지나갔지만, 원래 순번을 되찾았습니다.",
    problems: {
      offline: "인터넷에 연결되어 있지 않습니다. 연결되면 자동으로 이어집니다.",
      unreachable: "연결이 원활하지 않습니다. 자동으로 다시 연결합니다.",
      failing: "일시적인 문제가 발생했습니다. 자동으로 다시 시도합니다.",
      C002: "쇼핑몰에서 이 페이지를 다시 열어 주세요.",
      Q003: "대기 순번을 확인할 수 없습니다. 자동으로 다시 시도합니다.",
      Q004: "대기열이 가득 찼습니다. 자리가 나면 자동으로 대기열에 등록됩니다.",
      C001: "올바르지 않은 링크입니다. 링크를 다시 확인해 주세요.",
      C004: "존재하지 않는 대기실입니다. 링크를 다시 확인해 주세요.",
      C005: "지금은 새로 대기할 수 없습니다. 다시 열리면 자동으로 대기열에 등록됩니다.",
      other: "요청을 처리하지 못했습니다. 자동으로 다시 시도합니다.",
    },
    confirmLeave: {
      line: "대기열에서 나가시겠습니까? 지금 나가면 현재 대기 순번이 사라집니다.",
      turn: "나가시겠습니까? 지금 나가면 이용 기회가 사라집니다.",
    },
  },

  en: {
    name: "English",
    languages: "Language",
    labels: {
      "line-title": "Joining the line…",
      "estimate-title": "Estimated wait",
      "opens-title": "Opens in",
      hint: "Keep this page open. You'll be let in automatically when it's your turn.",
      rules: "How the line works",
      alert: "Alert me when it's my turn",
      "leave-line": "Leave the line",
      "keep-text":
        "This browser doesn't keep cookies, so this link is the only way back to your place. Save it, and don't share it.",
      "keep-link": "Link to your place",
      copy: "Copy link",
      "gate-title": "Cookies are turned off",
      "gate-text":
        "This browser doesn't keep cookies, so you couldn't get back to your place after closing this page. Allow cookies and reload, or join with a personal link that holds your place.",
      join: "Join with a link",
      "turn-title": "It's your turn",
      "left-title": "Time left",
      activate: "Enter now",
      extend: "Extend my time",
      "leave-turn": "Leave",
      again: "Join again",
    },
    modes: {
      upcoming: "Not open yet",
      open: "Open",
      paused: "Paused",
      draining: "Closed to new visitors",
      closed: "Closed",
      "sold-out": "Sold out",
    },
    position: "Your position in line",
    notJoined: "You're not in the line yet",
    days: (count) => counted(count, "day"),
    waiting: (total, position) => (position === 1 ? "You're next" : `${total} people are waiting`),
    progress: (percent, position) => `${percent}% done, position ${position}`,
    spoken: (position, words) => `Position ${position}. ${words}.`,
    wait: (low, high) => {
      if (high <= 1) return "Less than a minute";
      if (low === 0) return `Less than ${minutesEn(high)}`;
      if (low === high) return `About ${minutesEn(low)}`;
      if (high < 60) return `About ${low} to ${high} minutes`;
      return `About ${minutesEn(low)} to ${minutesEn(high)}`;
    },
    unknown: "We can't estimate your wait yet",
    stopped: "Admission is paused",
    closed: "Admission is closed",
    soldOut: "All seats are taken at the moment",
    soldOutHint:
      "You keep your place. If seats become available, you'll be let in automatically when it's your turn, so keep this page open.",
    closedHint: "You keep your place. If admission starts again, you'll be let in automatically.",
    opensAt: (when) => `Opens ${when}`,
    closesAt: (when) => `Closes ${when}`,
    opensHint:
      "First come, first served. You keep this place when the line opens, and you'll be let in automatically when it's your turn.",
    rule: (idle, back) =>
      back
        ? `If this page has been disconnected for ${durationEn(idle)} when your turn comes, the next person goes first. Come back within ${durationEn(back)} and you'll be next.`
        : `If this page has been disconnected for ${durationEn(idle)} when your turn comes, you lose your place.`,
    alertOn: {
      both: "We'll alert you with a sound and a notification.",
      sound: "We'll alert you with a sound. Keep the volume up.",
    },
    waitingToJoin: "Open this tab to join",
    copied: "Copied",
    called: "It's your turn!",
    ready: "Enter before the time runs out.",
    readyTitle: "Time left to enter",
    turnText: "You can start now. Keep an eye on the time left.",
    going: "Taking you there…",
    lastMinute: "One minute left.",
    spent: "No further extension is possible.",
    over: {
      expired: { title: "Your time is up", text: () => "To continue, please join the line again." },
      missed: {
        title: "You missed your turn",
        text: () => "It was your turn, but you didn't enter in time. Please join the line again.",
      },
      passed: {
        title: "Your place has expired",
        text: (idle) =>
          idle
            ? `This device had been disconnected for more than ${durationEn(idle)} when your turn came. Please join the line again.`
            : "This device was disconnected when your turn came. Please join the line again.",
      },
      left: { title: "You have left the line", text: () => "You can join again at any time." },
      gone: {
        title: "You're not in the line",
        text: () => "Your visit has ended, or your place has expired.",
      },
    },
    kept: "Your place is kept.",
    away: (seconds) => `This device was disconnected for ${durationEn(seconds)}.`,
    returned: "Your turn came while this device was disconnected. You have your place back.",
    problems: {
      offline: "You're offline. We'll reconnect automatically.",
      unreachable: "There's a problem with the connection. We'll keep trying.",
      failing: "Something went wrong on our side. We'll keep trying.",
      C002: "Please open this page again from the shop.",
      Q003: "We couldn't confirm your place. We'll keep trying.",
      Q004: "The line is full. You'll join automatically when there's space.",
      C001: "This link isn't valid. Please check it.",
      C004: "This waiting room doesn't exist. Please check your link.",
      C005: "The line is closed to new visitors. You'll join automatically if it opens again.",
      other: "Something went wrong. We'll keep trying.",
    },
    confirmLeave: {
      line: "Leave the line? You'll lose your place.",
      turn: "Leave now? You'll lose your turn.",
    },
  },
};
