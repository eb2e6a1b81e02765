-- A turn of the owner of a stream's lease: it acknowledges, and reads new entries. Called by turns.py.
--
-- All owners read as one consumer of the group: what one left pending, the next finds in the stream's order, by
-- recover.lua.
--
-- KEYS     the stream; its lease, as in take.lua
-- ARGV     group, instance, its epoch, ttl in ms if the lease is to be renewed, else 0, how many queues have reached
--          another entry, these with the entry's id, how many entries to acknowledge, their ids, then what to do, and the
--          last id that this instance has read, and a count
--
--   read     read up to `count` new entries
--   new      make sure that the XREADGROUP that follows in the same MULTI continues where this instance has read to.
--            (Entries that are read in here pass through Lua, which costs the server 4 µs each.) If the turn fails, what
--            that read returned must not be used: a new epoch begins, and finds it pending
--   renew    read nothing
--   release  give the lease up
--
-- Returns {entries {id, fields and values}, a loss as `find_loss` of losses.lua returns it}.
-- Errors: FENCED <epoch>: the lease is another's, or of another epoch; NOGROUP. After these nothing was done. For `new` and
-- `read` also: REWOUND, the group was set back, and the token is forgotten, so that no queue takes what is read again for
-- done; MISSED, a late owner has read something since. Both need a new epoch.
--
-- This script is called for nearly every event where events are few: it asks the server for as little as it can.

--[[owner]]
--[[group_state]]
--[[losses]]
--[[entry_ids]]

local what, after, count = unpack(ARGV, next_argument)

-- Why the group does not stand where this instance has read to; nothing if it does.
local function wrong_place(delivered)
  if comes_before(delivered, after) then
    call('HDEL', lease, 'token')
    return redis.error_reply('REWOUND the group was set back to ' .. delivered)
  end
  -- The group is further than this instance: consumers of other names have read, or an owner that did not know better.
  if #call('XPENDING', stream, group, '(' .. after, delivered, 1, CONSUMER) > 0 then
    return redis.error_reply('MISSED something was read after ' .. after)
  end
end

local is_read = what == 'read' or what == 'new'
local state = is_read and state_of(stream)
if is_read and not state then return no_group() end
settle(what == 'release' and {'owner', '', 'until', '0'} or {})
if not is_read then return {{}, {}} end

local delivered = state['last-delivered-id']
local problem = delivered ~= after and wrong_place(delivered)
if problem then return problem end

if has_acknowledged then pass_on_entries_read(state) end
local looks_closer = what == 'new' or may_have_lost(state)
local loss = looks_closer and find_loss(state) or {}
if what == 'new' then return {{}, loss} end

local reply = call('XREADGROUP', 'GROUP', group, CONSUMER, 'COUNT', count, 'STREAMS', stream, '>')
-- Where nothing is left although the counter says so, it is set right.
if not reply and not looks_closer then find_loss(state) end
return {reply and reply[1][2] or {}, loss}
