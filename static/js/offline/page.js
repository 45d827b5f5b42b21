// The page shown without a network: it leads to the tasks that are here, and looks again when the network is back.

const PAGES = "podium-pages-";
const list = document.querySelector("[data-tasks]");

window.addEventListener("online", () => location.reload());

for (const name of (await globalThis.caches?.keys()) ?? []) {
  if (!name.startsWith(PAGES)) continue;
  for (const { url } of await (await caches.open(name)).keys()) {
    const item = document.createElement("li");
    const number = list.children.length + 1;
    item.append(Object.assign(document.createElement("a"), { href: url, className: "button", textContent: `Task ${number} in hand` }));
    list.append(item);
  }
}
document.querySelector("[data-some]").hidden = !list.children.length;
