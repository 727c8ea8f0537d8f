// Pages and JSON that a visitor gets instead of the site, in two languages. Pure.

const TEXTS = {
  form: {
    en: [
      "Your form was not sent",
      "Your turn has ended or has not come yet, so the form was not sent. Join the line, then fill in the form again.",
      "Join the line",
    ],
    ko: [
      "양식이 전송되지 않았습니다",
      "이용 시간이 끝났거나 아직 차례가 아니어서 양식이 전송되지 않았습니다. 대기열에 등록한 뒤 다시 작성해 주세요.",
      "대기열로 이동",
    ],
  },
  frame: {
    en: [
      "Please open this page by itself",
      "It has a waiting line, which cannot be shown inside another page.",
      "Open the page",
    ],
    ko: [
      "페이지를 따로 열어 주세요",
      "대기열이 있는 페이지는 다른 페이지 안에 표시할 수 없습니다.",
      "페이지 열기",
    ],
  },
  refused: {
    en: [
      "This link is no longer valid",
      "Your turn has ended, or the link belongs to another browser.",
      "Back to the line",
    ],
    ko: [
      "더 이상 사용할 수 없는 링크입니다",
      "이용 시간이 끝났거나 다른 브라우저에서 받은 링크입니다.",
      "대기열로 돌아가기",
    ],
  },
  cookies: {
    en: [
      "Please allow cookies",
      "Your browser does not keep this site's cookies, so we cannot recognise you. Allow cookies for this site, or open the page in a tab of its own.",
      "Open the page",
    ],
    ko: [
      "쿠키를 허용해 주세요",
      "브라우저가 이 사이트의 쿠키를 저장하지 않아 접속을 확인할 수 없습니다. 쿠키를 허용하거나 새 탭에서 페이지를 열어 주세요.",
      "페이지 열기",
    ],
  },
  unreachable: {
    en: [
      "We are very busy",
      "We cannot check your place right now. Please try again in a moment.",
      "Try again",
    ],
    ko: [
      "접속자가 많습니다",
      "지금은 대기 순번을 확인할 수 없습니다. 잠시 후 다시 시도해 주세요.",
      "다시 시도",
    ],
  },
};

const MESSAGES = {
  Q006: { en: "A pass of the waiting room is needed.", ko: "대기실 입장권이 필요합니다." },
  E003: {
    en: "The queue service is temporarily unavailable.",
    ko: "대기열 서비스를 일시적으로 사용할 수 없습니다.",
  },
};

const STYLE =
  "body{font:16px/1.6 system-ui,sans-serif;margin:0;min-height:100vh;display:grid;" +
  "place-items:center;background:#f6f7f9;color:#1b1f24}" +
  "main{max-width:26rem;padding:2rem;margin:1rem;background:#fff;border-radius:12px;" +
  "box-shadow:0 1px 4px #0002}" +
  "h1{font-size:1.3rem;margin:0 0 .5rem}" +
  "a{display:inline-block;margin-top:1rem;padding:.6rem 1.1rem;border-radius:8px;" +
  "background:#1f5eff;color:#fff;text-decoration:none}" +
  "@media(prefers-color-scheme:dark){" +
  "body{background:#14171b;color:#e6e8eb}main{background:#1e2227}}";

// `en` if `Accept-Language` names English first, else `ko`, as the queue does.
export function languageOf(accepted) {
  return accepted.toLowerCase().startsWith("en") ? "en" : "ko";
}

// A page as HTML; `address` is where its link leads.
export function page(name, language, address) {
  const [title, text, link] = TEXTS[name][language];
  return (
    `<!doctype html><html lang="${language}"><meta charset="utf-8">` +
    '<meta name="viewport" content="width=device-width,initial-scale=1">' +
    `<title>${title}</title><style>${STYLE}</style>` +
    `<main><h1>${title}</h1><p>${text}</p>` +
    `<a href="${escape(address)}" target="_top">${link}</a></main></html>`
  );
}

// A refusal as JSON; `address` is that of the waiting page, if there is one.
export function refusal(code, language, address) {
  const fields = { status: "error", code, message: MESSAGES[code][language] };
  return JSON.stringify(address ? { ...fields, waitingPage: address } : fields);
}

function escape(text) {
  const entities = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;" };
  return text.replace(/[&<>"']/g, (char) => entities[char]);
}
