-- Whether one entry id comes before another; '' comes before all. Lua's own numbers would round the largest.
local function comes_before(id, other)
  if id == other or other == '' then return false end
  if id == '' then return true end
  local ours, our_number = string.match(id, '^(%d+)-(%d+)$')
  local theirs, their_number = string.match(other, '^(%d+)-(%d+)$')
  if ours == theirs then ours, theirs = our_number, their_number end
  if #ours ~= #theirs then return #ours < #theirs end
  return ours < theirs
end
