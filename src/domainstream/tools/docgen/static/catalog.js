// Shows only the channels that have all words of the search. The page works without it.

const search = document.getElementById("search");
const articles = [...document.querySelectorAll("article")].map((one) => [one, one.textContent.toLowerCase()]);
const others = [...document.querySelectorAll(".whole, .orphans")];

function show() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = new Set();
  for (const [article, text] of articles) {
    article.hidden = !words.every((word) => text.includes(word));
    if (!article.hidden) found.add(article.id);
  }
  for (const link of document.querySelectorAll(".contents a")) {
    link.parentElement.hidden = !found.has(decodeURIComponent(link.hash.slice(1)));
  }
  for (const list of document.querySelectorAll(".contents ul")) {
    const isEmpty = [...list.children].every((item) => item.hidden);
    list.hidden = list.previousElementSibling.hidden = isEmpty;
  }
  for (const section of others) section.hidden = words.length > 0;
  document.getElementById("nothing").hidden = found.size > 0 || articles.length === 0;
  document.getElementById("count").textContent = `${found.size} of ${articles.length} channels`;
}

search.addEventListener("input", show);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.matches("input") && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    search.focus();
  } else if (event.key === "Escape" && event.target === search) {
    search.value = "";
    show();
  }
});
// On a narrow screen the contents would hide the page.
if (matchMedia("(max-width: 60rem)").matches) document.querySelector(".contents details").open = false;
document.getElementById("finding").hidden = false;
show();
