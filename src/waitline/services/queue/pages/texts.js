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

export const TEXTS = {
  ko: {
    labels: {
      "line-title": "나의 대기 순번",
      "estimate-title": "예상 대기 시간",
      hint: "이 페이지를 열어 두세요. 차례가 되면 자동으로 입장합니다.",
      rules: "대기열 이용 안내",
      "leave-line": "대기열에서 나가기",
      "turn-title": "입장하실 차례입니다",
      "left-title": "남은 시간",
      extend: "시간 연장",
      "leave-turn": "나가기",
      again: "다시 대기하기",
    },
    modes: {
      open: "진행 중",
      paused: "일시 중지",
      draining: "신규 대기 마감",
      closed: "마감",
      "sold-out": "매진",
    },
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
    unknown: "예상 대기 시간을 아직 계산할 수 없습니다",
    stopped: "입장이 일시 중지되었습니다",
    soldOut: "지금은 남은 좌석이 없습니다",
    soldOutHint:
      "대기 순번은 그대로 유지됩니다. 취소표가 나오면 순번대로 자동 입장하니 이 페이지를 열어 두세요.",
    turnText: "지금 입장하실 수 있습니다. 남은 시간을 확인해 주세요.",
    going: "자동으로 이동하고 있습니다…",
    lastMinute: "1분 남았습니다.",
    spent: "더 이상 연장할 수 없습니다.",
    over: {
      expired: { title: "이용 시간이 끝났습니다", text: "계속하시려면 다시 대기해 주세요." },
      left: { title: "대기열에서 나왔습니다", text: "원하시면 언제든 다시 대기하실 수 있습니다." },
      gone: { title: "대기 정보를 찾을 수 없습니다", text: "이용이 끝났거나 대기 순번이 만료되었습니다." },
    },
    kept: "대기 순번은 그대로 유지됩니다.",
    problems: {
      offline: "연결이 끊겼습니다. 자동으로 다시 시도합니다.",
      down: "일시적으로 서비스에 연결할 수 없습니다. 자동으로 다시 시도합니다.",
      C002: "쇼핑몰을 통해 이 페이지를 다시 열어 주세요.",
      Q003: "대기 순번을 확인할 수 없습니다. 자동으로 다시 시도합니다.",
      Q004: "대기열이 가득 찼습니다. 자리가 나면 자동으로 대기열에 등록됩니다.",
      C001: "주소가 올바르지 않습니다. 전달받은 링크를 확인해 주세요.",
      C004: "존재하지 않는 대기실입니다. 전달받은 링크를 확인해 주세요.",
      C005: "지금은 새로 대기할 수 없습니다. 다시 열리면 자동으로 대기열에 등록됩니다.",
      other: "요청을 처리하지 못했습니다. 자동으로 다시 시도합니다.",
    },
    confirmLeave: {
      line: "정말 나가시겠습니까? 현재 대기 순번을 잃게 됩니다.",
      turn: "정말 나가시겠습니까? 지금 나가면 이용 기회가 사라집니다.",
    },
  },

  en: {
    labels: {
      "line-title": "Your position in line",
      "estimate-title": "Estimated wait",
      hint: "Keep this page open. You'll be let in automatically when it's your turn.",
      rules: "How the line works",
      "leave-line": "Leave the line",
      "turn-title": "It is your turn",
      "left-title": "Time left",
      extend: "Extend my time",
      "leave-turn": "Leave",
      again: "Join again",
    },
    modes: {
      open: "Open",
      paused: "Paused",
      draining: "Closed to new visitors",
      closed: "Closed",
      "sold-out": "Sold out",
    },
    waiting: (total, position) =>
      position === 1 ? "You are next" : `${total} people are waiting`,
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
    soldOut: "All seats are taken at the moment",
    soldOutHint:
      "You keep your place. If seats become available, you will go in when it is your turn, so keep this page open.",
    turnText: "You can start now. Keep an eye on the time left.",
    going: "Taking you there…",
    lastMinute: "One minute left.",
    spent: "No further extension is possible.",
    over: {
      expired: { title: "Your time is up", text: "To continue, please join the line again." },
      left: { title: "You have left the line", text: "You can join again at any time." },
      gone: {
        title: "You are not in the line",
        text: "Your visit has ended, or your place has expired.",
      },
    },
    kept: "Your place is kept.",
    problems: {
      offline: "You are offline. We will keep trying.",
      down: "The service is not responding. We will keep trying.",
      C002: "Please open this page again from the shop.",
      Q003: "We could not confirm your place. We will keep trying.",
      Q004: "The line is full. You will join automatically when there is space.",
      C001: "This address is not valid. Please check your link.",
      C004: "This waiting room does not exist. Please check your link.",
      C005: "The line is closed to new visitors. You will join automatically when it opens again.",
      other: "Something went wrong. We will keep trying.",
    },
    confirmLeave: {
      line: "Leave now? You will lose your place.",
      turn: "Leave now? You will lose your turn.",
    },
  },
};
