drop table chat.agent_datastores;
drop table chat.datastores;
drop table chat.chat_channels;
drop table chat.workspace_members;
drop table chat.workspaces;
drop table chat.agents;
drop table chat.users;
drop schema chat;
