-- A turn of the owner of a stream's lease at what is not new: entries that are pending, or that were handed over before.
-- Called by turns.py.
--
-- KEYS     the stream; its lease, as in take.lua
-- ARGV     as in turn.lua up to what to do, then `after`, a count, idle ms
--
--   pending  return what is pending after the id `after`, up to `count`, without delivering it again
--   retry    deliver it again: the counts of deliveries grow
--   claim    take over what consumers of other names left pending for longer than `idle`, and deliver it after `after`
--   look     return entries after the id `after`, up to `count`, whatever the group has done with them
--
-- Returns {entries {id, fields and values}, no loss, how often each was delivered, ids of pending entries that had been
-- deleted and are acknowledged now}. An empty page is the last one. Errors: FENCED, NOGROUP, as in turn.lua.

--[[owner]]
--[[group_state]]

local what, after, count, idle = unpack(ARGV, next_argument)

-- Entries of other consumers are kept apart: queues may be past their ids without having them.
local CLAIMED = CONSUMER .. ':claimed'
-- An entry that was delivered more often may be what kills its consumers: it is delivered alone.
local SUSPICIOUS = 2

local function entry_at(id) return call('XRANGE', stream, id, id)[1] end

-- Each of the entries that are pending, as {id, consumer, idle, deliveries}: up to where the group has read. After it was
-- set back, more are pending; they come as new again, in the stream's order. Added now, they would move queues' marks past
-- those before them that come again, too.
local function pending_of(consumer)
  local delivered = state_of(stream)['last-delivered-id']
  return call('XPENDING', stream, group, '(' .. after, delivered, count, consumer)
end

local function look_at_pending()
  local entries, times, deleted = {}, {}, {}
  for _, row in ipairs(pending_of(CONSUMER)) do
    local entry = entry_at(row[1])
    if entry then
      entries[#entries + 1], times[#times + 1] = entry, row[4]
    else
      deleted[#deleted + 1] = row[1]
    end
  end
  return entries, times, deleted
end

local function deliver_again(consumer)
  local rows, size = pending_of(consumer), 0
  for _, row in ipairs(rows) do
    if row[4] > SUSPICIOUS then break end
    size = size + 1
  end
  if #rows == 0 then return {}, {}, {} end
  local entries, times, deleted = {}, {}, {}
  local reply = call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', math.max(size, 1), 'STREAMS', stream, after)
  for number, entry in ipairs(reply[1][2]) do
    if entry[2] then
      entries[#entries + 1], times[#times + 1] = entry, rows[number][4] + 1
    else
      deleted[#deleted + 1] = entry[1]
    end
  end
  return entries, times, deleted
end

local function claim()
  local deleted = {}
  for _, list in ipairs(call('XINFO', 'CONSUMERS', stream, group)) do
    local consumer, ids = fields_of(list), {}
    local name = consumer['name']
    local others = name ~= CONSUMER and name ~= CLAIMED and consumer['pending'] > 0
    local rows = others and call('XPENDING', stream, group, 'IDLE', idle, '-', '+', count, name) or {}
    for _, row in ipairs(rows) do
      local found = entry_at(row[1]) and ids or deleted
      found[#found + 1] = row[1]
    end
    if #ids > 0 then
      ids[#ids + 1] = 'JUSTID' -- which does not count it as a delivery: the one below does
      call('XCLAIM', stream, group, CLAIMED, idle, unpack(ids))
    end
  end
  local entries, times, gone = deliver_again(CLAIMED)
  for _, id in ipairs(gone) do deleted[#deleted + 1] = id end
  return entries, times, deleted
end

local function look()
  local entries, times = call('XRANGE', stream, '(' .. after, '+', 'COUNT', count), {}
  for number in ipairs(entries) do times[number] = 1 end
  return entries, times, {}
end

local found = {pending = look_at_pending, claim = claim, look = look}
found.retry = function() return deliver_again(CONSUMER) end

if not state_of(stream) then return no_group() end
settle({})
local entries, times, deleted = found[what]()
acknowledge(deleted, 1, #deleted)
return {entries, {}, times, deleted}
