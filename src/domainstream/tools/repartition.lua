-- One step of a change of a channel's number of partitions, at one of its streams. Called by repartition.py.
--
-- KEYS  the stream, where the number is written down, the index of the stream and its tail, then the leases of the groups
-- ARGV  the step, what to write down, then the names of the groups
--
--   look     write nothing down
--   close    write it down first, so that no publisher adds anything from then on
--   replace  write it down in place of the stream, unless something is unread
--   make     make the stream with these groups; in place of the number, if that is its key
--   remove   remove the stream
--
-- Returns the groups that have not read or not acknowledged everything; '' if there are entries and no group. A group
-- that is made or goes takes its lease along: by its token queues know what they have had.

local call = redis.call
local stream, number = KEYS[1], KEYS[2]
local step, text = ARGV[1], ARGV[2]

local function unread()
  if call('TYPE', stream).ok ~= 'stream' then return {} end
  local behind, newest = {}, call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  local groups = call('XINFO', 'GROUPS', stream)
  for _, list in ipairs(groups) do
    local group = {}
    for i = 1, #list, 2 do group[list[i]] = list[i + 1] end
    local next_one = newest and call('XRANGE', stream, '(' .. group['last-delivered-id'], '+', 'COUNT', 1)[1]
    if group['pending'] > 0 or next_one then behind[#behind + 1] = group['name'] end
  end
  if newest and #groups == 0 then behind[1] = '' end
  return behind
end

local function remove()
  call('DEL', stream)
  for i = 3, #KEYS do call('DEL', KEYS[i]) end  -- the index, and the leases
end

local function make()
  if call('TYPE', stream).ok == 'string' then call('DEL', stream) end
  for i = 3, #ARGV do
    local made = redis.pcall('XGROUP', 'CREATE', stream, ARGV[i], '0', 'MKSTREAM')
    if not made.err then
      call('DEL', KEYS[i + 2])
    elseif not string.find(made.err, 'BUSYGROUP', 1, true) then
      error(made)
    end
  end
  if call('EXISTS', stream) == 0 then  -- the stream alone says that the channel has no partitions
    call('XGROUP', 'CREATE', stream, 'domainstream', '0', 'MKSTREAM')
    call('XGROUP', 'DESTROY', stream, 'domainstream')
  end
end

if step == 'close' then call('SET', number, text) end
local behind = unread()
if step == 'replace' and #behind == 0 then
  remove()
  call('SET', number, text)
elseif step == 'make' then
  make()
elseif step == 'remove' then
  remove()
end
return behind
