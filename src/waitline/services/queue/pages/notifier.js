// Service worker that shows the turn's notification where pages may not: Chrome for Android.
//
// It handles no fetch and keeps nothing. Its scope is its own folder, in which there are no pages.

addEventListener("notificationclick", (event) => {
  const { notification } = event;
  notification.close();
  event.waitUntil(showPage(notification.data));
});

async function showPage(address) {
  const pages = await clients.matchAll({ type: "window", includeUncontrolled: true });
  const page = pages.find(({ url }) => withoutFragment(url) === withoutFragment(address));
  return page ? page.focus() : clients.openWindow(address);
}

function withoutFragment(url) {
  return url.split("#")[0];
}
