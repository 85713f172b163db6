-- Take an event in: told apart from its repeats, counted, and, where the answer is known, answered.
-- KEYS[1]  set of event digests seen in the present period (64-bit integers, so that it stays an intset)
-- KEYS[2]  the same of the period before; together they remember at least one period
-- KEYS[3]  record of this event: '<decided or begun at, ms>P' while open, '<…>A<answer>' once decided
-- KEYS[4]  counters of the member's day in this group (hash)
-- KEYS[5]  set of counters not yet written to SQL
-- KEYS[6]  the member's events of the running minute
-- KEYS[7]  the digests of the period after the present: another process's clock may be ahead, and an earlier
--          delivery may have been read so slowly that its period ended meanwhile
-- KEYS[8]  conversation of the member in this chat (see lib/converse.lua)
-- KEYS[9]  open rounds of the community by place (see lib/round.lua)
-- ARGV[1]  digest of the event id, signed 64-bit decimal
-- ARGV[2]  now, Unix ms
-- ARGV[3]  how long the same answer is given, ms
-- ARGV[4]  how long a period of digests is kept, ms
-- ARGV[5]  how long counters are kept, ms
-- ARGV[6]  counter to raise: messages or events
-- ARGV[7]  when it was sent, Unix ms
-- ARGV[8]  name of the counters in KEYS[5]
-- ARGV[9]  events a member may send per minute before they are told to slow down
-- ARGV[10] this chat as a place of rounds, '*' for a direct chat
-- ARGV[11] the answer, where it depends on no state; '' otherwise
-- returns  {'new', events this minute, conversation, rounds} | {'open', '', conversation, rounds} | {'decided', record}
--          | {'old', ''}; conversation and rounds are '' for none
--          'open': a repeat whose first delivery is still working or has died; 'old': a repeat whose answer
--          is no longer kept. A new event above the limit stays open: the caller decides what it hears.
--          One of a member in conversation stays open too: it may be an answer to what the bot asked; and so does one
--          in a chat with a round that listens to what people write.
-- dies here / comes twice: the digest is added in the same step as the counters, so each counts once.
--@include accept
local state = 'P'
if ARGV[11] ~= '' and talk == '' and not listening and rate <= tonumber(ARGV[9]) then state = 'A' .. ARGV[11] end
redis.call('SET', KEYS[3], ARGV[2] .. state, 'PX', ARGV[3])
return {'new', rate, talk, rounds}
