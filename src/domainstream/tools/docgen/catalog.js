const search = document.getElementById("search");
const articles = [...document.querySelectorAll("article")].map((one) => [one, one.textContent.toLowerCase()]);
function show() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const [article, text] of articles) article.hidden = !words.every((word) => text.includes(word));
  const found = articles.filter(([article]) => !article.hidden).length;
  document.getElementById("count").textContent = `${found} of ${articles.length} channels`;
}
search.addEventListener("input", show);
document.getElementById("finding").hidden = false;
show();
