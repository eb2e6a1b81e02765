-- Shared by the scripts of turns: where the group stands on a stream, and what it lost. They have `call`, which is
-- redis.call, and `group`.

local function fields_of(list)
  local fields = {}
  for i = 1, #list, 2 do fields[list[i]] = list[i + 1] end
  return fields
end

-- What XINFO GROUPS says of the group. Nothing for a key that is missing or of another type, or without the group.
local function state_of(stream)
  local groups = redis.pcall('XINFO', 'GROUPS', stream)
  if groups.err then return nil end
  for _, list in ipairs(groups) do
    local fields = fields_of(list)
    if fields['name'] == group then return fields end
  end
end

local function no_group() return redis.error_reply('NOGROUP no group ' .. group .. ' on ' .. KEYS[1]) end
